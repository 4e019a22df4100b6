/*
 * avx-state: AVX's registers begin as zeroes, and survive every kind of exit, losing the CPU to
 * others, and being turned off and on again in XCR0.
 */
#include "ymm.h"

const char guest_name[] = "avx-state";

#define ROUNDS 64
#define SPIN   3000000 /* instructions: longer than a time slice */

static void exits(uint8_t seed)
{
    ymm_fill(seed);
    trying("exits with AVX's registers in use");
    for (unsigned i = 0; i < ROUNDS; i++) {
        cpuid(0, 0);
        outb(0x2f9, 0);
        hypercall(VMX_VMCALL_NULL, 0, 0, 0, 0);
        check(ymm_intact(seed), "a register changed in round %u", i);
    }
    trying("to lose the CPU with them");
    for (volatile unsigned i = 0; i < SPIN / 4; i++)
        continue;
    check(ymm_intact(seed), "a register changed while others ran");
}

/* SDM "XSETBV": what a component has stays while it is off. */
static void off_and_on(uint8_t seed)
{
    struct Ymm y;
    trying("XCR0 without AVX");
    ymm_fill(seed);
    xsetbv(0, XCR0_LEGACY);
    check(CATCH("vxorps %%ymm0, %%ymm0, %%ymm0", 0, 0, 0) == T_ILLOP, "AVX: trap %d",
          caught.vector);
    for (unsigned i = 0; i < ROUNDS; i++)
        outb(0x2f9, 0);
    check(xgetbv(0) == XCR0_LEGACY, "XCR0 is 0x%lx", xgetbv(0));
    xsetbv(0, XCR0_LEGACY | XCR0_AVX);
    ymm_store(&y);
    check(ymm_intact(seed), "a register changed while AVX was off");
}

int guest_main(const struct MultibootInfo *info)
{
    uint8_t seed = cmdline()[0];
    (void)info;
    if (!ymm_enable()) {
        print("avx-state: no AVX\n");
        return check_result();
    }
    check(ymm_upper_zero(), "they do not begin as zeroes");
    exits(seed);
    off_and_on(seed + 1);
    return check_result();
}
