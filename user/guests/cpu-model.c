/*
 * cpu-model: what CPUID says fits together, and what the rest of the CPU does fits it: CR4, MSRs,
 * instructions. A word no-FEATURE of the command line: it is to be hidden. With the word svm,
 * instructions may be there that are not shown, as SVM has no way to stop them.
 */
#include <inc/cpufeatures.h>
#include <inc/xsave.h>
#include "rt.h"

const char guest_name[] = "cpu-model";

#define EXT_BASE        0x80000000u
#define EXT_SIZES       0x80000008u
#define MSR_MTRRCAP     0xfe
#define MSR_MTRR_BASE   0x200
#define MSR_MTRR_MASK   0x201
#define MSR_MTRR_FIXED  0x250
#define MSR_MTRR_TYPE   0x2ff
#define MSR_PAT         0x277
#define MSR_TSC_AUX_NUM 0xc0000103

static const struct CpuFeatureRow rows[] = CPU_FEATURE_ROWS;

static uint32_t word(enum CpuWord w)
{
    switch (w) {
    case CPU_1_ECX:
        return cpuid(1, 0).ecx;
    case CPU_1_EDX:
        return cpuid(1, 0).edx;
    case CPU_7_EBX:
        return cpuid(7, 0).ebx;
    case CPU_7_ECX:
        return cpuid(7, 0).ecx;
    case CPU_D1_EAX:
        return cpuid(CPUID_XSAVE, 1).eax;
    case CPU_X1_ECX:
        return cpuid(EXT_BASE + 1, 0).ecx;
    case CPU_X1_EDX:
        return cpuid(EXT_BASE + 1, 0).edx;
    default:
        return cpuid(EXT_BASE + 7, 0).edx;
    }
}

static bool has(enum CpuFeature f)
{
    return word(rows[f].word) & 1u << rows[f].bit;
}

static void features(void)
{
    char name[40];
    trying("features and what they need");
    for (unsigned f = 0; f < CPU_NFEATURES; f++) {
        const struct CpuFeatureRow *r = &rows[f];
        if (r->needs != CPUF_none)
            check(!has(f) || has(r->needs), "%s without %s", r->name, rows[r->needs].name);
        check(has(f) || r->may_be_off, "%s is missing", r->name);
        snprintf(name, sizeof(name), "no-%s", r->name);
        check(!has(f) || !cmdline_has(name), "%s is shown", r->name);
    }
}

/* A bit of CR4 can be set exactly if its feature is shown. */
static void cr4_bits(void)
{
    static const struct {
        uint8_t feature;
        uint64_t bit;
    } bits[] = {
        { CPUF_vme, 1 },          { CPUF_de, CR4_DE },
        { CPUF_umip, CR4_UMIP },  { CPUF_fsgsbase, CR4_FSGSBASE },
        { CPUF_pcid, CR4_PCIDE }, { CPUF_xsave, CR4_OSXSAVE },
        { CPUF_smep, CR4_SMEP },
    };
    uint64_t cr4 = rcr4();
    trying("bits of CR4");
    for (unsigned i = 0; i < ARRAY_SIZE(bits); i++) {
        int v = CATCH("movq %%rax, %%cr4; movq %%rcx, %%cr4", cr4 | bits[i].bit, cr4, 0);
        check(v == (has(bits[i].feature) ? -1 : T_GPFLT), "%s, CR4 bits 0x%lx: trap %d",
              rows[bits[i].feature].name, bits[i].bit, v);
    }
    check(!(rcr4() & CR4_LA57), "CR4.LA57");
}

#define INSN(feature, text, a, c)                                                     \
    do {                                                                              \
        int v_ = CATCH(text, a, c, 0);                                                \
        bool shown_ = has(CPUF_##feature);                                            \
        check((v_ < 0) == shown_ || (v_ < 0 && hidden_runs), "%s: %s, trap %d", text, \
              shown_ ? "shown" : "not shown", v_);                                    \
        check(v_ < 0 || v_ == T_ILLOP, "%s: trap %d instead of #UD", text, v_);       \
    } while (0)

static void instructions(void)
{
    static uint64_t descriptor[2];
    bool hidden_runs = cmdline_has("svm");
    trying("instructions");
    INSN(rdtscp, "rdtscp", 0, 0);
    INSN(rdrand, "rdrand %%rax", 0, 0);
    INSN(rdseed, "rdseed %%rax", 0, 0);
    INSN(invpcid, "invpcid (%%rax), %%rcx", (uint64_t)descriptor, 2);
    hidden_runs = false; /* CR4 decides */
    if (has(CPUF_fsgsbase))
        lcr4(rcr4() | CR4_FSGSBASE);
    INSN(fsgsbase, "rdfsbase %%rax", 0, 0);
    if (has(CPUF_xsave)) {
        lcr4(rcr4() | CR4_OSXSAVE);
        uint64_t all = XCR0_LEGACY | (has(CPUF_avx) ? XCR0_AVX : 0);
        xsetbv(0, all);
    }
    INSN(xsave, "xorl %%ecx, %%ecx; xgetbv", 0, 0);
    INSN(avx, "vxorps %%ymm0, %%ymm0, %%ymm0", 0, 0);
}

static void xsave_leaf(void)
{
    struct CpuidRegs r = cpuid(CPUID_XSAVE, 0), avx = cpuid(CPUID_XSAVE, 2);
    trying("leaf 0xd");
    if (!has(CPUF_xsave)) {
        check((r.eax | r.ebx | r.ecx | r.edx) == 0, "it is not empty");
        return;
    }
    check((r.eax & XCR0_LEGACY) == XCR0_LEGACY, "XCR0 may be 0x%x", r.eax);
    check(!!(r.eax & XCR0_AVX) == has(CPUF_avx), "XCR0 may be 0x%x", r.eax);
    check(!!(r.eax & XCR0_AVX512) == has(CPUF_avx512f), "XCR0 may be 0x%x", r.eax);
    check(r.ebx <= r.ecx, "%u of %u bytes", r.ebx, r.ecx);
    check(avx.eax == (has(CPUF_avx) ? 256 : 0), "AVX has %u bytes", avx.eax);
    check(avx.ebx + avx.eax <= r.ecx, "AVX ends at %u of %u", avx.ebx + avx.eax, r.ecx);
}

/* One CPU, whose id is 0. */
static void topology(void)
{
    struct CpuidRegs one = cpuid(1, 0), beyond, last;
    uint32_t max = cpuid(0, 0).eax;
    trying("topology, caches, widths and highest leaves");
    check(one.ebx >> 24 == 0, "APIC id %u", one.ebx >> 24);
    check(!(one.edx & 1u << 28), "CPUID shows more than one logical CPU");
    for (uint32_t i = 0; i < 8; i++) {
        struct CpuidRegs r = cpuid(4, i);
        if ((r.eax & 0x1f) == 0)
            break;
        check(r.eax >> 14 == 0, "cache %u is shared: 0x%x", i, r.eax);
    }
    for (uint32_t i = 0; i < 2; i++) {
        struct CpuidRegs r = cpuid(0xb, i);
        check((r.ebx & 0xffff) == 1 && r.edx == 0 && (r.ecx >> 8 & 0xff) == i + 1,
              "level %u: %u CPUs, id %u", i, r.ebx, r.edx);
    }
    check((cpuid(0xb, 2).ecx & 0xff00) == 0, "a third level");
    check((cpuid(EXT_SIZES, 0).ecx & 0xff) == 0, "more than one core");
    last = cpuid(max, 0);
    beyond = cpuid(max + 1, 0);
    check(memcmp(&last, &beyond, sizeof(last)) == 0, "a leaf beyond the highest is another one");
}

static void msr_is(uint32_t msr, uint64_t value, int vector)
{
    int v = CATCH("wrmsr", (uint32_t)value, msr, value >> 32);
    check(v == vector, "WRMSR 0x%x of 0x%lx: trap %d", msr, value, v);
    if (v < 0)
        check(rdmsr(msr) == value, "MSR 0x%x is 0x%lx", msr, rdmsr(msr));
}

static void mtrrs(void)
{
    static const uint32_t all[] = { MSR_MTRRCAP, MSR_MTRR_BASE, MSR_MTRR_FIXED, MSR_MTRR_TYPE };
    trying("MTRRs and the PAT");
    if (!has(CPUF_mtrr)) {
        for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
            check(CATCH("rdmsr", 0, all[i], 0) == T_GPFLT, "MSR 0x%x: trap %d", all[i],
                  caught.vector);
    } else {
        uint64_t beyond = 1ul << (cpuid(EXT_SIZES, 0).eax & 0xff);
        check((rdmsr(MSR_MTRRCAP) & 0xff) == 8, "%lu ranges", rdmsr(MSR_MTRRCAP) & 0xff);
        msr_is(MSR_MTRRCAP, 0, T_GPFLT);
        msr_is(MSR_MTRR_TYPE, 0xc06, -1);
        msr_is(MSR_MTRR_TYPE, 0xc02, T_GPFLT);
        msr_is(MSR_MTRR_TYPE, 0x1c06, T_GPFLT);
        msr_is(MSR_MTRR_FIXED, 0x0606060606060606, -1);
        msr_is(MSR_MTRR_FIXED, 0x0606060306060606, T_GPFLT);
        msr_is(MSR_MTRR_BASE, 0xc0000001, -1);
        msr_is(MSR_MTRR_BASE, 0xc0000007, T_GPFLT);
        msr_is(MSR_MTRR_BASE, 0xc0000100, T_GPFLT);
        msr_is(MSR_MTRR_BASE, beyond, T_GPFLT);
        msr_is(MSR_MTRR_MASK, ((beyond - 1) & ~0x3ffffffful) | 0x800, -1);
        msr_is(MSR_MTRR_MASK, 1, T_GPFLT);
    }
    if (has(CPUF_pat))
        msr_is(MSR_PAT, 0x0007040600070406, -1);
    else
        check(CATCH("rdmsr", 0, MSR_PAT, 0) == T_GPFLT, "PAT: trap %d", caught.vector);
    if (!has(CPUF_rdtscp) && !cmdline_has("svm"))
        check(CATCH("rdmsr", 0, MSR_TSC_AUX_NUM, 0) == T_GPFLT, "TSC_AUX: trap %d", caught.vector);
    if (!has(CPUF_tsc_adjust))
        check(CATCH("rdmsr", 0, MSR_TSC_ADJUST, 0) == T_GPFLT, "TSC_ADJUST: trap %d",
              caught.vector);
}

static void efer(void)
{
    uint64_t value = rdmsr(MSR_EFER) | EFER_NXE;
    trying("EFER");
    int v = CATCH("wrmsr", (uint32_t)value, MSR_EFER, value >> 32);
    check(v == (has(CPUF_nx) ? -1 : T_GPFLT), "EFER.NXE: trap %d", v);
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    features();
    topology();
    xsave_leaf();
    cr4_bits();
    mtrrs();
    efer();
    instructions();
    print("cpu-model: pcid %d, avx %d, rdtscp %d\n", has(CPUF_pcid), has(CPUF_avx),
          has(CPUF_rdtscp));
    return check_result();
}
