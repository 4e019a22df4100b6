/*
 * CPUID: what a guest is told about its CPU. The leaves are those of the host, masked by one table,
 * computed once: VMX, SVM and everything that the VMM does not switch or virtualize is hidden, the
 * hypervisor's own leaves are added, and the topology is one CPU. Of the features in them a guest
 * has those that vmm/features.c leaves it.
 */
#include <kern/dev/clock.h>
#include <inc/string.h>
#include <inc/vmm.h>
#include <kern/cpu.h>
#include <kern/platform.h>
#include <inc/xsave.h>
#include <vmm/backend.h>
#include <vmm/cpuid.h>
#include <vmm/cr.h>
#include <vmm/features.h>
#include <vmm/msr.h>
#include <vmm/vcpu.h>
#include <vmm/xstate.h>

#define BASIC_MAX     0x16
#define TOPOLOGY_LEAF 0xb
#define TSC_LEAF      0x15
#define MHZ_LEAF      0x16
#define EXT_BASE      0x80000000u
#define CACHE_LEAF    4
#define FEATURES_LEAF 7
#define EXT_MAX       8
#define EXT_CACHES    0x8000001du /* of AMD's CPUs that have topology extensions */
#define EXT_TOPOLOGY  0x8000001eu
#define ALL           0xffffffffu

#define BIT(n) (1u << (n))

/* LAB 6 cut */
/* CPUID.1:ECX: SSE3, PCLMUL, SSSE3, CX16, SSE4.1, SSE4.2, MOVBE, POPCNT, AES, RDRAND. Hidden by not
 * being here: MONITOR, VMX, SMX, perfmon, and what L1_ECX_DEPENDS has. */
#define L1_ECX_KEEP \
    (BIT(0) | BIT(1) | BIT(9) | BIT(13) | BIT(19) | BIT(20) | BIT(22) | BIT(23) | BIT(25) | BIT(30))
/* x2APIC, TSC deadline, hypervisor present */
#define L1_ECX_SET (BIT(21) | BIT(24) | BIT(31))
/* LAB 6 end */
/* And those that depend on what the back end can do: FMA, PCID, XSAVE, AVX, F16C. */
#define L1_ECX_DEPENDS (BIT(12) | BIT(17) | BIT(26) | BIT(28) | BIT(29))
/* CPUID.1:EDX: FPU, VME, DE, PSE, TSC, MSR, PAE, CX8, SEP, PGE, CMOV, PAT, PSE-36, CLFLUSH, MMX,
 * FXSR, SSE, SSE2. Hidden: machine check, debug store, thermal, HTT. */
#define L1_EDX_KEEP                                                                              \
    (BIT(0) | BIT(1) | BIT(2) | BIT(3) | BIT(4) | BIT(5) | BIT(6) | BIT(8) | BIT(11) | BIT(13) | \
     BIT(15) | BIT(16) | BIT(17) | BIT(19) | BIT(23) | BIT(24) | BIT(25) | BIT(26))
#define L1_EDX_SET (BIT(9) | BIT(12)) /* APIC, MTRR */
/* CPUID.1:EBX: CLFLUSH size; one logical CPU, APIC id 0 */
#define L1_EBX_KEEP 0x0000ff00u
#define L1_EBX_SET  BIT(16)
#define L7_EBX_SET  BIT(1) /* IA32_TSC_ADJUST */
/* CPUID.7:EBX: FSGSBASE, BMI1, AVX2, SMEP, BMI2, ERMS, INVPCID, AVX-512 (F, DQ, IFMA, CD, BW, VL),
 * RDSEED, ADX, SMAP, CLFLUSHOPT, CLWB, SHA */
#define L7_EBX_KEEP                                                                                \
    (BIT(0) | BIT(3) | BIT(5) | BIT(7) | BIT(8) | BIT(9) | BIT(10) | BIT(16) | BIT(17) | BIT(18) | \
     BIT(19) | BIT(20) | BIT(21) | BIT(23) | BIT(24) | BIT(28) | BIT(29) | BIT(30) | BIT(31))
/* CPUID.7:ECX: UMIP, GFNI, VAES, VPCLMULQDQ, AVX-512 (VBMI, VBMI2, VNNI, BITALG, VPOPCNTDQ), RDPID.
 * Hidden: protection keys, 5-level paging, CET */
#define L7_ECX_KEEP \
    (BIT(1) | BIT(2) | BIT(6) | BIT(8) | BIT(9) | BIT(10) | BIT(11) | BIT(12) | BIT(14) | BIT(22))
/* CPUID.(DH,1):EAX: XSAVEOPT, XSAVEC, XGETBV with ECX = 1. Hidden: XSAVES, whose IA32_XSS is not
 * switched. */
#define LD1_EAX_KEEP    (BIT(0) | BIT(1) | BIT(2))
#define LD1_XSAVEC      BIT(1)
#define COMPACT_ALIGNED BIT(1) /* CPUID.(DH,n):ECX: starts at a multiple of 64 */
#define L6_EAX_SET      BIT(2) /* the APIC timer always runs */
/* CPUID.4:EAX: without the numbers of threads and cores */
#define L4_EAX_KEEP 0x00003fffu
/* CPUID.80000001H: LAHF, LZCNT, PREFETCHW, topology extensions; SYSCALL, NX, 1 GiB pages, RDTSCP,
 * long mode */
#define X1_ECX_KEEP    (BIT(0) | BIT(5) | BIT(8) | BIT(22))
#define X1_ECX_TOPOEXT BIT(22)
#define X1_EDX_KEEP    (BIT(11) | BIT(20) | BIT(26) | BIT(27) | BIT(29))
#define X7_EDX_KEEP    BIT(8)    /* invariant TSC */
#define X8_EAX_KEEP    (0xffffu) /* widths of physical and linear addresses */
#define PHYS_BITS_MAX  48u       /* what four levels of the second stage map */

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

/* The answers for a guest that has all that it can have. */
static struct CpuidRegs basic[BASIC_MAX + 1], ext_leaves[EXT_MAX + 1];
static struct CpuidRegs xsave_features; /* subleaf 1 */
static struct CpuidRegs hv_base, hv_timing, kvm_base;
static struct CpuWords all_features;
static bool has_topoext;

/* Where the features are. */
static uint32_t *const words[CPU_NWORDS] = {
    [CPU_1_ECX] = &basic[1].ecx,
    [CPU_1_EDX] = &basic[1].edx,
    [CPU_7_EBX] = &basic[FEATURES_LEAF].ebx,
    [CPU_7_ECX] = &basic[FEATURES_LEAF].ecx,
    [CPU_D1_EAX] = &xsave_features.eax,
    [CPU_X1_ECX] = &ext_leaves[1].ecx,
    [CPU_X1_EDX] = &ext_leaves[1].edx,
    [CPU_X7_EDX] = &ext_leaves[7].edx,
};

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

/* What depends on the back end, of all words. */
static void limit_features(uint32_t host_l1_ecx)
{
    *words[CPU_1_ECX] = (*words[CPU_1_ECX] & ~L1_ECX_DEPENDS) | (host_l1_ecx & L1_ECX_DEPENDS);
    for (size_t i = 0; i < CPU_NWORDS; i++)
        all_features.word[i] = *words[i];
    features_limit(&all_features);
    for (size_t i = 0; i < CPU_NWORDS; i++)
        *words[i] = all_features.word[i];
}

void cpuid_init(void)
{
    if (hv_base.eax != 0)
        return; /* guests on other CPUs read the tables */
    uint32_t max = cpuid(0, 0).eax, ext_max = cpuid(EXT_BASE, 0).eax;
    for (uint32_t i = 0; i <= BASIC_MAX; i++)
        basic[i] = masked(i, max, &basic_masks[i]);
    for (uint32_t i = 0; i <= EXT_MAX; i++)
        ext_leaves[i] = masked(EXT_BASE + i, ext_max, &ext_masks[i]);
    if (max >= CPUID_XSAVE)
        xsave_features.eax = cpuid(CPUID_XSAVE, 1).eax & LD1_EAX_KEEP;
    limit_features(cpuid(1, 0).ecx);
    has_topoext = ext_max >= EXT_TOPOLOGY && (ext_leaves[1].ecx & X1_ECX_TOPOEXT);
    if (has_topoext)
        ext_leaves[0].eax = EXT_TOPOLOGY;
    uint32_t widths = ext_leaves[8].eax;
    ext_leaves[8].eax = (widths & 0xff00) | MIN(widths & 0xff, PHYS_BITS_MAX);

    basic[TSC_LEAF] = tsc_leaf();
    basic[MHZ_LEAF] = (struct CpuidRegs){ .eax = tsc_khz / 1000, .ebx = tsc_khz / 1000 };
    hv_base = signature(HV_CPUID_MAX, HV_SIGNATURE);
    kvm_base = signature(KVM_CPUID_FEATURES, KVM_SIGNATURE);
    hv_timing = (struct CpuidRegs){ .eax = tsc_khz, .ebx = tsc_khz };
}

bool cpuid_has_fast_strings(void)
{
    bool intel = memcmp(&basic[0].ebx, "Genu", 4) == 0; /* ineIntel */
    return !intel || (rdmsr(MSR_MISC_ENABLE) & MISC_ENABLE_FAST_STRINGS);
}

bool cpuid_is_amd(const struct Vcpu *v)
{
    return memcmp(&v->cpuid[0].ebx, "Auth", 4) == 0; /* enticAMD */
}

uint32_t cpuid_physical_bits(void)
{
    return ext_leaves[8].eax & 0xff;
}

void cpuid_vcpu_init(struct Vcpu *v)
{
    features_settle(v->vm, &all_features);
    v->efer_reserved = ~(uint64_t)EFER_GUEST | (vm_has(v->vm, nx) ? 0 : EFER_NXE);
    for (size_t i = 0; i <= CPUID_PLAIN_MAX; i++)
        v->cpuid[i] = basic[i];
    v->cpuid[1].ecx = v->vm->features.word[CPU_1_ECX];
    mtrr_init(&v->mtrrs, cpuid_physical_bits());
    v->cpuid[1].edx = v->vm->features.word[CPU_1_EDX];
}

/* A leaf of caches: the host's, used by one CPU. EAX without the numbers of threads and cores. */
static struct CpuidRegs cache_leaf(uint32_t leaf, uint32_t subleaf)
{
    struct CpuidRegs r = cpuid(leaf, subleaf);
    r.eax &= L4_EAX_KEEP;
    return r;
}

/* Bytes of an XSAVE area with these components, in the standard or the compacted form. */
static uint32_t xsave_bytes(uint64_t mask, bool compact)
{
    uint32_t end = XSAVE_LEGACY_BYTES + XSAVE_HEADER_BYTES;
    for (int i = 2; i < XCR0_COMPONENTS; i++) {
        if (!(mask & 1ul << i))
            continue;
        struct CpuidRegs r = cpuid(CPUID_XSAVE, i);
        if (!compact)
            end = MAX(end, r.ebx + r.eax);
        else
            end = (r.ecx & COMPACT_ALIGNED ? ROUNDUP(end, 64u) : end) + r.eax;
    }
    return end;
}

/* Leaf 0xd: the components that the guest's XCR0 may have, and those that it has. */
static struct CpuidRegs xsave_leaf(const struct Vcpu *v, uint32_t subleaf)
{
    const struct Vm *vm = v->vm;
    const struct CpuidRegs none = { 0, 0, 0, 0 };
    if (!vm_has(vm, xsave))
        return none;
    if (subleaf == 0)
        return (struct CpuidRegs){ .eax = vm->xcr0,
                                   .ebx = xsave_bytes(vcpu_xcr0(v), false),
                                   .ecx = xsave_bytes(vm->xcr0, false),
                                   .edx = vm->xcr0 >> 32 };
    if (subleaf == 1) {
        uint32_t features = vm->features.word[CPU_D1_EAX];
        return (struct CpuidRegs){
            .eax = features,
            .ebx = features & LD1_XSAVEC ? xsave_bytes(vcpu_xcr0(v), true) : 0,
        };
    }
    bool has = subleaf < XCR0_COMPONENTS && (vm->xcr0 & 1ul << subleaf);
    return has ? cpuid(CPUID_XSAVE, subleaf) : none;
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

static struct CpuidRegs features_leaf(const struct Vcpu *v, uint32_t subleaf)
{
    struct CpuidRegs r = { 0, 0, 0, 0 };
    if (subleaf == 0) {
        r.ebx = v->vm->features.word[CPU_7_EBX];
        r.ecx = v->vm->features.word[CPU_7_ECX];
    }
    return r;
}

static struct CpuidRegs ext_leaf(const struct Vcpu *v, uint32_t n)
{
    struct CpuidRegs r = ext_leaves[n];
    const uint32_t *features = v->vm->features.word;
    if (n == 0 && !vm_has(v->vm, topoext))
        r.eax = EXT_BASE + EXT_MAX;
    if (n == 1) {
        r.ecx = features[CPU_X1_ECX];
        r.edx = features[CPU_X1_EDX];
    }
    if (n == 7)
        r.edx = features[CPU_X7_EDX];
    return r;
}

static struct CpuidRegs other_leaf(const struct Vcpu *v, uint32_t leaf, uint32_t subleaf)
{
    const struct CpuidRegs none = { 0, 0, 0, 0 };
    if (leaf == HV_CPUID_BASE)
        return hv_base;
    if (leaf == HV_CPUID_TIMING)
        return hv_timing;
    if (leaf == KVM_CPUID_BASE)
        return kvm_base;
    if ((leaf > HV_CPUID_BASE && leaf < HV_CPUID_MAX) || leaf == KVM_CPUID_FEATURES)
        return none;
    if (leaf > EXT_BASE && leaf <= EXT_TOPOLOGY &&
        vm_has(v->vm, topoext)) /* one node of one CPU, all 0 */
        return leaf == EXT_CACHES ? cache_leaf(leaf, subleaf) : none;
    return basic[BASIC_MAX]; /* beyond the highest leaf: that one (SDM "CPUID-CPU Identification")
                              */
}

struct CpuidRegs cpuid_answer(const struct Vcpu *v, uint32_t leaf, uint32_t subleaf)
{
    if (leaf == CACHE_LEAF)
        return basic[2].eax != 0 ? cache_leaf(leaf, subleaf) : basic[CACHE_LEAF];
    if (leaf == TOPOLOGY_LEAF)
        return topology_leaf(subleaf);
    if (leaf == FEATURES_LEAF)
        return features_leaf(v, subleaf);
    if (leaf == CPUID_XSAVE)
        return xsave_leaf(v, subleaf);
    if (leaf <= CPUID_PLAIN_MAX)
        return v->cpuid[leaf];
    if (leaf <= BASIC_MAX)
        return basic[leaf];
    if (leaf - EXT_BASE <= EXT_MAX)
        return ext_leaf(v, leaf - EXT_BASE);
    return other_leaf(v, leaf, subleaf);
}
