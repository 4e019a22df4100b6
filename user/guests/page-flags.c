/*
 * page-flags: INS and OUTS, which the VMM carries out, set the accessed and dirty flags of the
 * guest's page tables as the CPU does: accessed in each level, dirty in the last one and for writes
 * only, in both of two pages if the element crosses them, and none for what faults. With `pse36`,
 * which needs more than 3 GiB: address bits above 32 in entries for 4 MiB pages count, and reserved
 * bits are found; the exit status is the step that failed.
 */
#include "rt.h"

const char guest_name[] = "page-flags";

#define VA       0x40000000ul
#define LARGE_VA 0x80000000ul
#define PORT     0x2f8
#define FLAGS    (PTE_A | PTE_D)

void leave_long_mode(const void *code) __attribute__((noreturn));
extern const char go_pse36[];
extern uint64_t boot_pml4[NPTENTRIES];

static uint8_t pages[2][PGSIZE] __attribute__((aligned(PGSIZE)));
static uint8_t large[PGSIZE_2M] __attribute__((aligned(PGSIZE_2M)));
static uint64_t *pte[2];

/* The entry that leads to va in the table of this level; tables are mapped one to one. */
static uint64_t *entry_of(uint64_t va, int level)
{
    uint64_t *table = boot_pml4;
    for (int l = 3; l > level; l--)
        table = (uint64_t *)PTE_ADDR(table[PTX(va, l)]);
    return &table[PTX(va, level)];
}

static void clear_flags(uint64_t va, int last)
{
    for (int level = 3; level >= last; level--)
        *entry_of(va, level) &= ~FLAGS;
    lcr3(rcr3());
}

static void expect_flags(const char *what, uint64_t va, int last, bool accessed, bool dirty)
{
    for (int level = 3; level >= last; level--) {
        uint64_t want = (accessed ? PTE_A : 0) | (dirty && level == last ? PTE_D : 0);
        uint64_t seen = *entry_of(va, level);
        check((seen & FLAGS) == want, "%s: entry 0x%lx of level %d", what, seen, level);
    }
}

static int ins(uint64_t va)
{
    return CATCH("movq %%rax, %%rdi; insl", va, 0, PORT);
}

static int outs(uint64_t va)
{
    return CATCH("movq %%rax, %%rsi; outsl", va, 0, PORT);
}

static void try_page(const char *size, uint64_t va, int last)
{
    trying("OUTS from and INS to a page of %s", size);
    clear_flags(va, last);
    check(outs(va) < 0, "trap %d", caught.vector);
    expect_flags("OUTS", va, last, true, false);
    check(ins(va) < 0, "trap %d", caught.vector);
    expect_flags("INS", va, last, true, true);
    clear_flags(va, last);
    check(ins(va) < 0, "trap %d", caught.vector);
    expect_flags("INS alone", va, last, true, true);
}

static void try_two_pages(void)
{
    trying("an element that crosses two pages");
    clear_flags(VA, 0);
    clear_flags(VA + PGSIZE, 0);
    check(ins(VA + PGSIZE - 2) < 0, "trap %d", caught.vector);
    expect_flags("the first page", VA, 0, true, true);
    expect_flags("the second page", VA + PGSIZE, 0, true, true);
    check(pages[0][PGSIZE - 1] == 0xff && pages[1][1] == 0xff && pages[1][2] == 0, "wrong bytes");
}

static void try_fault(void)
{
    trying("an element whose second page is read-only");
    *pte[1] &= ~PTE_W;
    clear_flags(VA, 0);
    clear_flags(VA + PGSIZE, 0);
    check(ins(VA + PGSIZE - 2) == T_PGFLT && caught.cr2 == VA + PGSIZE, "trap %d, CR2 0x%lx",
          caught.vector, caught.cr2);
    check(!(*pte[0] & PTE_D) && !(*pte[1] & PTE_D), "dirty: 0x%lx, 0x%lx", *pte[0], *pte[1]);
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    if (cmdline_has("pse36")) {
        trying("PSE-36");
        leave_long_mode(go_pse36);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(pte); i++)
        pte[i] = map_4k(VA + i * PGSIZE, (uint64_t)pages[i], PTE_P | PTE_W);
    map_2m(LARGE_VA, (uint64_t)large, PTE_P | PTE_W);
    try_page("4 KiB", VA, 0);
    try_page("2 MiB", LARGE_VA, 1);
    try_two_pages();
    try_fault();
    return check_result();
}
