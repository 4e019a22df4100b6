/*
 * lab-cpuid: exercise 6. What CPUID says in a guest, and how the answer arrives.
 */
#include "lab.h"

const char guest_name[] = "lab-cpuid";

#define EXERCISE 6
#define BIT(n)   (1ul << (n))
#define HIGH     0xa5a5a5a500000000ul
#define EXT_BASE 0x80000000ul

/* CPUID.1:ECX (SDM "CPUID-CPU Identification") */
#define MONITOR  BIT(3)
#define VMX      BIT(5)
#define SMX      BIT(6)
#define X2APIC   BIT(21)
#define DEADLINE BIT(24)
/* FMA, PCID, XSAVE, OSXSAVE, AVX, F16C: the code after the table adds them */
#define DEPENDS (BIT(12) | BIT(17) | BIT(26) | BIT(27) | BIT(28) | BIT(29))
#define HV      BIT(31)
#define USEFUL  (BIT(0) | BIT(9) | BIT(13) | BIT(19) | BIT(20) | BIT(23)) /* SSE3 to POPCNT */
#define OTHERS  (BIT(1) | BIT(22) | BIT(25) | BIT(30)) /* PCLMUL, MOVBE, AES, RDRAND */

/* CPUID with all of RAX to RDX. */
static void cpuid_regs(uint64_t r[4])
{
    asm volatile("cpuid" : "+a"(r[0]), "+b"(r[1]), "+c"(r[2]), "+d"(r[3]));
}

static void features(void)
{
    uint64_t ecx = cpuid(1, 0).ecx;
    uint64_t known = USEFUL | OTHERS | X2APIC | DEADLINE | HV;
    property(EXERCISE, "no-vmx", "VMX and SMX in ECX of leaf 1", 0, ecx & (VMX | SMX));
    property(EXERCISE, "no-monitor", "MONITOR in ECX of leaf 1", 0, ecx & MONITOR);
    property(EXERCISE, "nothing-new", "bits of ECX of leaf 1 that no rule lets through", 0,
             ecx & ~(known | VMX | SMX | MONITOR | DEPENDS));
    property(EXERCISE, "hypervisor", "the hypervisor bit in ECX of leaf 1", HV, ecx & HV);
    property(EXERCISE, "x2apic", "x2APIC and TSC deadline in ECX of leaf 1", X2APIC | DEADLINE,
             ecx & (X2APIC | DEADLINE));
    property(EXERCISE, "useful", "SSE3 to POPCNT in ECX of leaf 1", USEFUL, ecx & USEFUL);
}

static uint64_t high_bits(uint64_t leaf)
{
    uint64_t r[4] = { leaf, HIGH | 1, HIGH, HIGH | 2 };
    cpuid_regs(r);
    return (r[0] | r[1] | r[2] | r[3]) >> 32;
}

static void answers(void)
{
    struct CpuidRegs plain = cpuid(0, 0), hv = cpuid(HV_CPUID_BASE, 0);
    uint64_t r[4] = { HIGH, 0, 0, 0 };
    volatile unsigned steps = 0;
    property(EXERCISE, "leaf-0", "the first letters of the vendor in EBX of leaf 0", 0x756e6547,
             plain.ebx);
    property(EXERCISE, "high-halves", "the upper halves after a leaf of the table", 0,
             high_bits(1));
    property(EXERCISE, "high-halves-computed", "the upper halves after a computed leaf", 0,
             high_bits(4));
    cpuid_regs(r);
    property(EXERCISE, "leaf-is-eax", "EDX of leaf 0, RAX's upper half not being 0", plain.edx,
             r[3]);
    steps++;
    property(EXERCISE, "step", "how often the code after CPUID ran", 1, steps);
    property(EXERCISE, "signature", "EBX of the hypervisor's leaf", *(uint32_t *)HV_SIGNATURE,
             hv.ebx);
    property(EXERCISE, "subleaf", "ECX of leaf 0xb, subleaf 1 (its number, type core)", 0x201,
             cpuid(0xb, 1).ecx);
    property(EXERCISE, "extended", "the number of extended leaves", EXT_BASE + 8,
             cpuid(EXT_BASE, 0).eax);
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    features();
    answers();
    property_sum(EXERCISE);
    return 0;
}
