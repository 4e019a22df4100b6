/*
 * fpu-state: x87 and SSE registers survive every kind of exit and losing the CPU to others; AVX and
 * XSAVE are not there.
 */
#include "fx.h"

const char guest_name[] = "fpu-state";

#define SEED   0xa0
#define ROUNDS 64
#define SPIN   3000000 /* instructions: longer than a time slice */

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    fx_fill(SEED);
    trying("exits with x87 and SSE registers in use");
    for (unsigned i = 0; i < ROUNDS; i++) {
        cpuid(0, 0);
        outb(0x2f9, 0);
        hypercall(VMX_VMCALL_NULL, 0, 0, 0, 0);
        check(fx_intact(SEED), "a register changed in round %u", i);
    }
    trying("to lose the CPU with them");
    for (volatile unsigned i = 0; i < SPIN / 4; i++)
        continue;
    check(fx_intact(SEED), "a register changed while others ran");
    trying("AVX, XGETBV and XSAVE");
    check(CATCH("vxorps %%ymm0, %%ymm0, %%ymm0", 0, 0, 0) == T_ILLOP, "AVX: trap %d",
          caught.vector);
    check(CATCH("xgetbv", 0, 0, 0) == T_ILLOP, "XGETBV: trap %d", caught.vector);
    check(CATCH("xsave (%%rax)", 0x200000, 0, 0) == T_ILLOP, "XSAVE: trap %d", caught.vector);
    check(fx_intact(SEED), "a register changed");
    return check_result();
}
