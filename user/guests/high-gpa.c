/*
 * high-gpa: a guest-physical address far above the guest's memory, with the bit that the command
 * line says (`bit=N`). If the CPU has that many address bits, the access ends the guest with the
 * address; if not, the bit is reserved in page tables and it is #PF, which says so.
 */
#include "rt.h"

const char guest_name[] = "high-gpa";

#define VA             0x40000000ul
#define CPUID_ADDRSIZE 0x80000008
#define ADDRSIZE_BITS  0xff

int guest_main(const struct MultibootInfo *info)
{
    const char *p = strstr(cmdline(), "bit=");
    unsigned bit = p ? (unsigned)strtoul(p + 4, NULL, 10) : 40;
    unsigned bits = cpuid(CPUID_ADDRSIZE, 0).eax & ADDRSIZE_BITS;
    (void)info;
    trying("a read of gpa 0x%lx, with %u address bits", 1ul << bit, bits);
    map_4k(VA, 1ul << bit, PTE_P | PTE_W);
    int v = CATCH("movq (%%rax), %%rax", VA, 0, 0);
    check(bit >= bits, "the access went through");
    check(v == T_PGFLT && caught.err == (FEC_PR | FEC_RSVD), "trap %d, error 0x%lx", v, caught.err);
    return check_result();
}
