/*
 * CPUID: what a guest is told about its CPU. The leaves are those of the host, masked by one table,
 * computed once: VMX, SVM and everything that the VMM does not switch or virtualize is hidden, the
 * hypervisor's own leaves are added, and the topology is one CPU.
 */
#include <kern/dev/clock.h>
#include <inc/string.h>
#include <inc/vmm.h>
#include <kern/cpu.h>
#include <kern/platform.h>
#include <vmm/cpuid.h>

#define BASIC_MAX     0x16
#define TOPOLOGY_LEAF 0xb
#define TSC_LEAF      0x15
#define MHZ_LEAF      0x16
#define EXT_BASE      0x80000000u
#define EXT_MAX       8
#define ALL           0xffffffffu

#define BIT(n) (1u << (n))

/* LAB 6 cut */
/* CPUID.1:ECX: SSE3, PCLMUL, SSSE3, CX16, SSE4.1, SSE4.2, MOVBE, POPCNT, AES, RDRAND. Hidden by not
 * being here: MONITOR, VMX, SMX, perfmon, PCID, XSAVE, AVX and what needs it. */
#define L1_ECX_KEEP \
    (BIT(0) | BIT(1) | BIT(9) | BIT(13) | BIT(19) | BIT(20) | BIT(22) | BIT(23) | BIT(25) | BIT(30))
/* x2APIC, TSC deadline, hypervisor present */
#define L1_ECX_SET (BIT(21) | BIT(24) | BIT(31))
/* LAB 6 end */
/* CPUID.1:EDX: FPU, VME, DE, PSE, TSC, MSR, PAE, CX8, SEP, PGE, CMOV, PAT, PSE-36, CLFLUSH, MMX,
 * FXSR, SSE, SSE2. Hidden: machine check, MTRR, debug store, thermal, HTT. */
#define L1_EDX_KEEP                                                                              \
    (BIT(0) | BIT(1) | BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(8) | BIT(11) | BIT(13) | \
     BIT(15) | BIT(16) | BIT(17) | BIT(19) | BIT(23) | BIT(24) | BIT(25) | BIT(26))
#define L1_EDX_SET BIT(9) /* APIC */
/* CPUID.1:EBX: CLFLUSH size; one logical CPU, APIC id 0 */
#define L1_EBX_KEEP 0x0000ff00u
#define L1_EBX_SET  BIT(16)
#define L7_EBX_SET  BIT(1) /* IA32_TSC_ADJUST */
/* CPUID.7:EBX: FSGSBASE, BMI1, SMEP, BMI2, ERMS, RDSEED, ADX, SMAP, CLFLUSHOPT, SHA */
#define L7_EBX_KEEP \
    (BIT(0) | BIT(3) | BIT(7) | BIT(8) | BIT(9) | BIT(18) | BIT(19) | BIT(20) | BIT(23) | BIT(29))
#define L7_ECX_KEEP BIT(2) /* UMIP */
#define L6_EAX_SET  BIT(2) /* the APIC timer always runs */
/* CPUID.4:EAX: without the numbers of threads and cores */
#define L4_EAX_KEEP 0x00003fffu
/* CPUID.80000001H: LAHF, LZCNT, PREFETCHW; SYSCALL, NX, 1 GiB pages, RDTSCP, long mode */
#define X1_ECX_KEEP   (BIT(0) | BIT(5) | BIT(8))
#define X1_EDX_KEEP   (BIT(11) | BIT(20) | BIT(26) | BIT(27) | BIT(29))
#define X1_EDX_RDTSCP BIT(27)
#define X7_EDX_KEEP   BIT(8)    /* invariant TSC */
#define X8_EAX_KEEP   (0xffffu) /* widths of physical and linear addresses */
#define PHYS_BITS_MAX 48u       /* what four levels of the second stage map */

struct LeafMask {
    struct CpuidRegs keep, set;
};

static const struct LeafMask basic_masks[BASIC_MAX + 1] = {
    [0] = { .keep = { 0, ALL, ALL, ALL }, .set = { BASIC_MAX, 0, 0, 0 } },
    /* LAB 6 begin: cpuid_leaf_1 */
    [1] = { .keep = { ALL, L1_EBX_KEEP, L1_ECX_KEEP, L1_EDX_KEEP },
            .set = { 0, L1_EBX_SET, L1_ECX_SET, L1_EDX_SET } },
    /* LAB 6 end */
    [2] = { .keep = { ALL, ALL, ALL, ALL } },
    [6] = { .set = { L6_EAX_SET, 0, 0, 0 } },
    [7] = { .keep = { 0, L7_EBX_KEEP, L7_ECX_KEEP, 0 }, .set = { 0, L7_EBX_SET, 0, 0 } },
};

static const struct LeafMask ext_masks[EXT_MAX + 1] = {
    [0] = { .keep = { 0, ALL, ALL, ALL }, .set = { EXT_BASE + EXT_MAX, 0, 0, 0 } },
    [1] = { .keep = { ALL, 0, X1_ECX_KEEP, X1_EDX_KEEP } },
    [2] = { .keep = { ALL, ALL, ALL, ALL } },
    [3] = { .keep = { ALL, ALL, ALL, ALL } },
    [4] = { .keep = { ALL, ALL, ALL, ALL } },
    [5] = { .keep = { ALL, ALL, ALL, ALL } },
    [6] = { .keep = { ALL, ALL, ALL, ALL } },
    [7] = { .keep = { 0, 0, 0, X7_EDX_KEEP } },
    [8] = { .keep = { X8_EAX_KEEP, 0, 0, 0 } },
};

/* The answers. */
struct CpuidRegs cpuid_basic[BASIC_MAX + 1];
static struct CpuidRegs ext_leaves[EXT_MAX + 1];
static struct CpuidRegs hv_base, hv_timing, kvm_base;

static struct CpuidRegs masked(uint32_t leaf, uint32_t host_max, const struct LeafMask *m)
{
    struct CpuidRegs r = { 0, 0, 0, 0 };
    if (leaf <= host_max)
        r = cpuid(leaf, 0);
    r.eax = (r.eax & m->keep.eax) | m->set.eax;
    r.ebx = (r.ebx & m->keep.ebx) | m->set.ebx;
    r.ecx = (r.ecx & m->keep.ecx) | m->set.ecx;
    r.edx = (r.edx & m->keep.edx) | m->set.edx;
    return r;
}

static struct CpuidRegs signature(uint32_t max, const char *text)
{
    struct CpuidRegs r = { .eax = max };
    memcpy(&r.ebx, text, 4);
    memcpy(&r.ecx, &text[4], 4);
    memcpy(&r.edx, &text[8], 4);
    return r;
}

/* The TSC's rate in Hz, as that of a crystal, which has 32 bits, times a small number. */
static struct CpuidRegs tsc_leaf(void)
{
    uint64_t hz = (uint64_t)tsc_khz * 1000;
    uint32_t times = hz / UINT32_MAX + 1;
    return (struct CpuidRegs){ .eax = 1, .ebx = times, .ecx = hz / times };
}

void cpuid_init(bool has_rdtscp)
{
    if (hv_base.eax != 0)
        return; /* guests on other CPUs read the tables */
    uint32_t max = cpuid(0, 0).eax, ext_max = cpuid(EXT_BASE, 0).eax;
    for (uint32_t i = 0; i <= BASIC_MAX; i++)
        cpuid_basic[i] = masked(i, max, &basic_masks[i]);
    for (uint32_t i = 0; i <= EXT_MAX; i++)
        ext_leaves[i] = masked(EXT_BASE + i, ext_max, &ext_masks[i]);
    if (!has_rdtscp)
        ext_leaves[1].edx &= ~X1_EDX_RDTSCP;
    uint32_t widths = ext_leaves[8].eax;
    ext_leaves[8].eax = (widths & 0xff00) | MIN(widths & 0xff, PHYS_BITS_MAX);

    cpuid_basic[TSC_LEAF] = tsc_leaf();
    cpuid_basic[MHZ_LEAF] = (struct CpuidRegs){ .eax = tsc_khz / 1000, .ebx = tsc_khz / 1000 };
    hv_base = signature(HV_CPUID_MAX, HV_SIGNATURE);
    kvm_base = signature(KVM_CPUID_FEATURES, KVM_SIGNATURE);
    hv_timing = (struct CpuidRegs){ .eax = tsc_khz, .ebx = tsc_khz };
}

uint32_t cpuid_physical_bits(void)
{
    return ext_leaves[8].eax & 0xff;
}

/* Leaf 4: the host's caches, used by one CPU. */
static struct CpuidRegs cache_leaf(uint32_t subleaf)
{
    struct CpuidRegs r = { 0, 0, 0, 0 };
    if (cpuid_basic[2].eax == 0)
        return r;
    r = cpuid(4, subleaf);
    r.eax &= L4_EAX_KEEP;
    return r;
}

/* Leaf 0xb: one thread (level type 1) in one core (level type 2); x2APIC id 0. */
static struct CpuidRegs topology_leaf(uint32_t subleaf)
{
    struct CpuidRegs r = { 0, 0, subleaf & 0xff, 0 };
    if (subleaf < 2) {
        r.ebx = 1;
        r.ecx |= (subleaf + 1) << 8;
    }
    return r;
}

static struct CpuidRegs other_leaf(uint32_t leaf)
{
    if (leaf == HV_CPUID_BASE)
        return hv_base;
    if (leaf == HV_CPUID_TIMING)
        return hv_timing;
    if (leaf == KVM_CPUID_BASE)
        return kvm_base;
    if ((leaf > HV_CPUID_BASE && leaf < HV_CPUID_MAX) || leaf == KVM_CPUID_FEATURES)
        return (struct CpuidRegs){ 0, 0, 0, 0 };
    return cpuid_basic[BASIC_MAX]; /* beyond the highest leaf: that one (SDM "CPUID-CPU
                                    * Identification") */
}

struct CpuidRegs cpuid_answer(uint32_t leaf, uint32_t subleaf)
{
    if (leaf == 4)
        return cache_leaf(subleaf);
    if (leaf == TOPOLOGY_LEAF)
        return topology_leaf(subleaf);
    if (leaf == 7)
        return subleaf == 0 ? cpuid_basic[7] : (struct CpuidRegs){ 0, 0, 0, 0 };
    if (leaf <= BASIC_MAX)
        return cpuid_basic[leaf];
    if (leaf - EXT_BASE <= EXT_MAX)
        return ext_leaves[leaf - EXT_BASE];
    return other_leaf(leaf);
}
