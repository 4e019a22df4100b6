/*
 * high-gpa: a guest-physical address far above the guest's memory, with the bit that the command
 * line says (`bit=N`). If the CPU has that many address bits, it reads ones there; if not, the bit
 * is reserved in page tables and it is #PF, which says so. Without a bit, all reserved ones are
 * tried, up to bit 51, in each level of the tables.
 */
#include "rt.h"

const char guest_name[] = "high-gpa";

#define VA             0x40000000ul
#define OWN_VA         (1ul << 39) /* with tables of its own, down from the first */
#define CPUID_ADDRSIZE 0x80000008
#define ADDRSIZE_BITS  0xff

extern uint64_t boot_pml4[NPTENTRIES];

/* Set a bit in the entry that maps OWN_VA at each level, one after the other. */
static void try_levels(unsigned bit)
{
    uint64_t *table = boot_pml4;
    for (int level = 3; level >= 0; level--) {
        uint64_t *entry = &table[PTX(OWN_VA, level)];
        *entry |= 1ul << bit;
        int v = CATCH("invlpg (%%rax); movq (%%rax), %%rax", OWN_VA, 0, 0);
        *entry &= ~(1ul << bit);
        check(v == T_PGFLT && reserved_bit_error(caught.err) == (FEC_PR | FEC_RSVD),
              "bit %u, level %d: trap %d, error 0x%lx", bit, level, v, caught.err);
        table = (uint64_t *)PTE_ADDR(*entry);
    }
    check(CATCH("invlpg (%%rax); movq (%%rax), %%rax", OWN_VA, 0, 0) < 0, "bit %u stays", bit);
}

static int try_reserved(unsigned bits)
{
    map_4k(OWN_VA, 0x200000, PTE_P | PTE_W);
    trying("address bits %u to 51 in tables of all levels", bits);
    for (unsigned bit = bits; bit < 52; bit++)
        try_levels(bit);
    return check_result();
}

int guest_main(const struct MultibootInfo *info)
{
    const char *p = strstr(cmdline(), "bit=");
    unsigned bit = p ? (unsigned)strtoul(p + 4, NULL, 10) : 0;
    unsigned bits = cpuid(CPUID_ADDRSIZE, 0).eax & ADDRSIZE_BITS;
    (void)info;
    if (!p)
        return try_reserved(bits);
    trying("a read of gpa 0x%lx, with %u address bits", 1ul << bit, bits);
    map_4k(VA, 1ul << bit, PTE_P | PTE_W);
    int v = CATCH("movq (%%rax), %%rax", VA, 0, 0);
    if (bit < bits)
        check(v < 0 && caught.rax == ~0ul, "trap %d, 0x%lx is read", v, caught.rax);
    else
        check(v == T_PGFLT && reserved_bit_error(caught.err) == (FEC_PR | FEC_RSVD),
              "trap %d, error 0x%lx", v, caught.err);
    return check_result();
}
