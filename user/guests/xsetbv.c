/*
 * xsetbv: XCR0 is the host's. XSETBV raises an exception whatever its operands are, and CR4.OSXSAVE
 * cannot be set.
 */
#include "rt.h"

const char guest_name[] = "xsetbv";

#define CR4_OSXSAVE_BIT (1ul << 18)

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    trying("CR4.OSXSAVE");
    int v = CATCH("movq %%rax, %%cr4", rcr4() | CR4_OSXSAVE_BIT, 0, 0);
    check(v == T_GPFLT, "trap %d", v);
    trying("XSETBV of every single bit, in several XCRs");
    for (uint64_t xcr = 0; xcr < 1ul << 32; xcr = xcr * 16 + 1)
        for (int bit = 0; bit < 64; bit++) {
            uint64_t x = 1ul << bit | 1;
            v = CATCH("xsetbv", (uint32_t)x, xcr, x >> 32);
            check(v == T_ILLOP || v == T_GPFLT, "XCR%lu = 0x%lx: trap %d", xcr, x, v);
        }
    return check_result();
}
