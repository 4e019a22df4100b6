/*
 * xsetbv: XCR0 takes the values that the manual allows of what CPUID shows, and all others are #GP
 * and change nothing; CPUID mirrors CR4.OSXSAVE and XCR0. With the word any, a value that is not
 * allowed may be taken, too: QEMU asks nobody. With the word off there is no XSAVE.
 */
#include <inc/xsave.h>
#include "rt.h"

const char guest_name[] = "xsetbv";

#define USER_VA 0x40000000ul
#define USER_PA 0x600000ul

static bool any;

static uint64_t supported(void)
{
    struct CpuidRegs r = cpuid(CPUID_XSAVE, 0);
    return (uint64_t)r.edx << 32 | r.eax;
}

/* SDM "XSETBV-Set Extended Control Register" */
static bool allowed(uint64_t x)
{
    bool wide = x & XCR0_AVX512;
    return (x & XCR0_X87) && !(x & ~supported()) && (!(x & XCR0_AVX) || (x & XCR0_SSE)) &&
           (!wide || ((x & XCR0_AVX512) == XCR0_AVX512 && (x & XCR0_AVX)));
}

static void try_value(uint64_t index, uint64_t x)
{
    uint64_t before = xgetbv(0);
    int v = CATCH("xsetbv", (uint32_t)x, index, x >> 32);
    bool good = index == 0 && allowed(x);
    if (v < 0)
        check(xgetbv(0) == x, "XCR0 is 0x%lx and not 0x%lx", xgetbv(0), x);
    else
        check(v == T_GPFLT && xgetbv(0) == before, "XCR%lu = 0x%lx: trap %d, XCR0 0x%lx", index, x,
              v, xgetbv(0));
    check((v < 0) == good || (any && v < 0), "XCR%lu = 0x%lx: trap %d", index, x, v);
}

static void off(void)
{
    trying("CR4.OSXSAVE where there is no XSAVE");
    int v = CATCH("movq %%rax, %%cr4", rcr4() | CR4_OSXSAVE, 0, 0);
    check(v == T_GPFLT, "CR4.OSXSAVE: trap %d", v);
    check(!(cpuid(1, 0).ecx & (CPUID1_ECX_XSAVE | CPUID1_ECX_OSXSAVE | CPUID1_ECX_AVX)),
          "CPUID shows it");
    v = CATCH("xsetbv", XCR0_X87, 0, 0);
    check(v == T_ILLOP, "XSETBV: trap %d", v);
}

static void values(void)
{
    trying("XSETBV of all small values, every bit, and other XCRs");
    for (uint64_t x = 0; x < 256; x++)
        try_value(0, x);
    for (int bit = 0; bit < 64; bit++)
        try_value(0, 1ul << bit | XCR0_LEGACY);
    for (uint64_t index = 1; index < 1ul << 32; index = index * 16 + 1)
        try_value(index, XCR0_LEGACY);
}

/* EBX of leaf 0xd is the size of what XCR0 has on, ECX that of all. */
static void sizes(void)
{
    trying("CPUID with XCR0");
    xsetbv(0, XCR0_X87);
    check(cpuid(CPUID_XSAVE, 0).ebx == XSAVE_LEGACY_BYTES + XSAVE_HEADER_BYTES, "%u bytes",
          cpuid(CPUID_XSAVE, 0).ebx);
    xsetbv(0, supported());
    struct CpuidRegs r = cpuid(CPUID_XSAVE, 0);
    check(r.ebx == r.ecx, "%u of %u bytes", r.ebx, r.ecx);
}

static void user_mode(void)
{
    /* xorl %ecx, %ecx; xorl %edx, %edx; xsetbv; ud2 */
    static const uint8_t code[] = { 0x31, 0xc9, 0x31, 0xd2, 0x0f, 0x01, 0xd1, 0x0f, 0x0b };
    trying("XSETBV in user mode");
    map_4k(USER_VA, USER_PA, PTE_P | PTE_U | PTE_W);
    memcpy((void *)USER_VA, code, sizeof(code));
    int v = in_user(USER_VA, 0, XCR0_X87);
    check(v == T_GPFLT, "trap %d", v);
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    any = cmdline_has("any");
    if (cmdline_has("off")) {
        off();
        return check_result();
    }
    if (!(cpuid(1, 0).ecx & CPUID1_ECX_XSAVE)) {
        print("xsetbv: no XSAVE\n");
        return check_result();
    }
    check(!(cpuid(1, 0).ecx & CPUID1_ECX_OSXSAVE), "CPUID shows OSXSAVE already");
    int v = CATCH("xsetbv", XCR0_X87, 0, 0);
    check(v == T_ILLOP, "XSETBV without CR4.OSXSAVE: trap %d", v);
    lcr4(rcr4() | CR4_OSXSAVE);
    check(cpuid(1, 0).ecx & CPUID1_ECX_OSXSAVE, "CPUID does not show OSXSAVE");
    check(xgetbv(0) == XCR0_X87, "XCR0 begins as 0x%lx", xgetbv(0));
    values();
    sizes();
    user_mode();
    lcr4(rcr4() & ~(uint64_t)CR4_OSXSAVE);
    check(!(cpuid(1, 0).ecx & CPUID1_ECX_OSXSAVE), "CPUID still shows OSXSAVE");
    return check_result();
}
