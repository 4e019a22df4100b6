/*
 * pf-storm: page faults of every kind, many times. Each must arrive exactly once, with the address
 * in CR2 and the error code that the page tables call for, whether the VMM intercepts page faults
 * or not.
 */
#include "rt.h"

const char guest_name[] = "pf-storm";

#define ROUNDS  50
#define VA      0x40000000ul /* the page that faults */
#define CODE_VA 0x40001000ul /* a user-accessible page with code */
#define OFFSET  0x123ul

static volatile uint8_t data_page[PGSIZE] __attribute__((aligned(PGSIZE)));
static uint8_t code_page[PGSIZE] __attribute__((aligned(PGSIZE)));

/* In code_page: load from (%rdi), or store to it, then ud2. */
static const uint8_t load_code[] = { 0x8a, 0x07, 0x0f, 0x0b };
static const uint8_t store_code[] = { 0x88, 0x07, 0x0f, 0x0b };
#define STORE_AT 16

enum Access {
    READ,
    WRITE,
    FETCH,
    USER_READ,
    USER_WRITE
};

#define RESERVED_BIT (1ul << 51)

static const struct Case {
    const char *name;
    uint64_t pte; /* without the address; 0: not present */
    enum Access access;
    uint64_t err;
} cases[] = {
    { "read of a page that is not present", 0, READ, 0 },
    { "write to a page that is not present", 0, WRITE, FEC_WR },
    { "write to a read-only page", PTE_P, WRITE, FEC_PR | FEC_WR },
    { "fetch from a no-execute page", PTE_P | PTE_W | PTE_NX, FETCH, FEC_PR | FEC_ID },
    { "fetch from a page that is not present", 0, FETCH, FEC_ID },
    { "read with a reserved bit set", PTE_P | PTE_W | RESERVED_BIT, READ, FEC_PR | FEC_RSVD },
    { "user read of a page that is not present", 0, USER_READ, FEC_U },
    { "user read of a supervisor page", PTE_P | PTE_W, USER_READ, FEC_PR | FEC_U },
    { "user write to a read-only page", PTE_P | PTE_U, USER_WRITE, FEC_PR | FEC_WR | FEC_U },
};

static int do_access(enum Access a)
{
    switch (a) {
    case READ:
        return CATCH("movb (%%rcx), %%al", 0, VA + OFFSET, 0);
    case WRITE:
        return CATCH("movb %%al, (%%rcx)", 0, VA + OFFSET, 0);
    case FETCH:
        return CATCH("movq %%rsp, %%rdx; jmp *%%rcx", 0, VA + OFFSET, 0);
    case USER_READ:
        return in_user(CODE_VA, VA + OFFSET, 0);
    default:
        return in_user(CODE_VA + STORE_AT, VA + OFFSET, 0);
    }
}

static void one(const struct Case *c)
{
    map_4k(VA, c->pte ? (uint64_t)data_page : 0, c->pte);
    int v = do_access(c->access);
    check(v == T_PGFLT, "%s: trap %d", c->name, v);
    uint64_t err = c->err & FEC_RSVD ? reserved_bit_error(caught.err) : caught.err;
    check(err == c->err, "%s: error code 0x%lx, not 0x%lx", c->name, caught.err, c->err);
    check(caught.cr2 == VA + OFFSET, "%s: CR2 0x%lx", c->name, caught.cr2);
}

/* Accesses that are allowed make no fault, also right after a fault changed the entry. */
static void permitted(void)
{
    map_4k(VA, (uint64_t)data_page, PTE_P | PTE_W | PTE_U | PTE_NX);
    check(do_access(READ) < 0 && do_access(WRITE) < 0, "a permitted access faults");
    check(do_access(USER_READ) == T_ILLOP, "a permitted user access faults");
}

static unsigned faults;

static void map_on_demand(struct Trapframe *tf)
{
    (void)tf;
    faults++;
    map_4k(VA, (uint64_t)data_page, PTE_P | PTE_W);
}

static void on_demand(void)
{
    trying("a page that its handler maps");
    trap_handlers[T_PGFLT] = map_on_demand;
    for (unsigned i = 0; i < ROUNDS; i++) {
        map_4k(VA, 0, 0);
        *(volatile uint8_t *)(VA + OFFSET) = i;
        check(data_page[OFFSET] == (uint8_t)i, "the write went elsewhere");
    }
    trap_handlers[T_PGFLT] = NULL;
    check(faults == ROUNDS, "%u faults, not %u", faults, ROUNDS);
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    memcpy(code_page, load_code, sizeof(load_code));
    memcpy(code_page + STORE_AT, store_code, sizeof(store_code));
    map_4k(CODE_VA, (uint64_t)code_page, PTE_P | PTE_U);

    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        trying("%s", cases[i].name);
        for (unsigned n = 0; n < ROUNDS; n++) {
            one(&cases[i]);
            permitted();
        }
    }
    on_demand();
    return check_result();
}
