/*
 * Features of a CPU that a guest may be shown, by the names that Linux's /proc/cpuinfo has. The
 * kernel and the monitor take their tables from this one list.
 */
#ifndef JOS_INC_CPUFEATURES_H
#define JOS_INC_CPUFEATURES_H

#include "types.h"

/* Words of features: the register of a CPUID leaf that has them (.0 is the subleaf). */
enum CpuWord {
    CPU_1_ECX,
    CPU_1_EDX,
    CPU_7_EBX,
    CPU_7_ECX,
    CPU_D1_EAX, /* leaf 0xd, subleaf 1 */
    CPU_X1_ECX, /* leaf 0x80000001 */
    CPU_X1_EDX,
    CPU_X7_EDX, /* leaf 0x80000007 */
    CPU_NWORDS
};

/* A set of features. */
struct CpuWords {
    uint32_t word[CPU_NWORDS];
};

/* X(name, word, bit, may it be off, the feature without which this one is off, too). Those that may
 * not: the guest could not be started, or 64-bit kernels take them for granted. */
#define CPU_FEATURE_LIST(X)                       \
    X(pni, 1_ECX, 0, true, none)                  \
    X(pclmulqdq, 1_ECX, 1, true, none)            \
    X(ssse3, 1_ECX, 9, true, none)                \
    X(fma, 1_ECX, 12, true, avx)                  \
    X(cx16, 1_ECX, 13, true, none)                \
    X(pcid, 1_ECX, 17, true, none)                \
    X(sse4_1, 1_ECX, 19, true, none)              \
    X(sse4_2, 1_ECX, 20, true, none)              \
    X(x2apic, 1_ECX, 21, false, none)             \
    X(movbe, 1_ECX, 22, true, none)               \
    X(popcnt, 1_ECX, 23, true, none)              \
    X(tsc_deadline_timer, 1_ECX, 24, true, none)  \
    X(aes, 1_ECX, 25, true, none)                 \
    X(xsave, 1_ECX, 26, true, none)               \
    X(avx, 1_ECX, 28, true, xsave)                \
    X(f16c, 1_ECX, 29, true, avx)                 \
    X(rdrand, 1_ECX, 30, true, none)              \
    X(hypervisor, 1_ECX, 31, false, none)         \
    X(fpu, 1_EDX, 0, false, none)                 \
    X(vme, 1_EDX, 1, true, none)                  \
    X(de, 1_EDX, 2, true, none)                   \
    X(pse, 1_EDX, 3, false, none)                 \
    X(tsc, 1_EDX, 4, false, none)                 \
    X(msr, 1_EDX, 5, false, none)                 \
    X(pae, 1_EDX, 6, false, none)                 \
    X(cx8, 1_EDX, 8, false, none)                 \
    X(apic, 1_EDX, 9, false, none)                \
    X(sep, 1_EDX, 11, true, none)                 \
    X(mtrr, 1_EDX, 12, true, none)                \
    X(pge, 1_EDX, 13, false, none)                \
    X(cmov, 1_EDX, 15, false, none)               \
    X(pat, 1_EDX, 16, true, none)                 \
    X(pse36, 1_EDX, 17, true, none)               \
    X(clflush, 1_EDX, 19, true, none)             \
    X(mmx, 1_EDX, 23, false, none)                \
    X(fxsr, 1_EDX, 24, false, none)               \
    X(sse, 1_EDX, 25, false, none)                \
    X(sse2, 1_EDX, 26, false, none)               \
    X(fsgsbase, 7_EBX, 0, true, none)             \
    X(tsc_adjust, 7_EBX, 1, true, none)           \
    X(bmi1, 7_EBX, 3, true, none)                 \
    X(avx2, 7_EBX, 5, true, avx)                  \
    X(smep, 7_EBX, 7, true, none)                 \
    X(bmi2, 7_EBX, 8, true, none)                 \
    X(erms, 7_EBX, 9, true, none)                 \
    X(invpcid, 7_EBX, 10, true, pcid)             \
    X(avx512f, 7_EBX, 16, true, avx2)             \
    X(avx512dq, 7_EBX, 17, true, avx512f)         \
    X(rdseed, 7_EBX, 18, true, none)              \
    X(adx, 7_EBX, 19, true, none)                 \
    X(smap, 7_EBX, 20, true, none)                \
    X(avx512ifma, 7_EBX, 21, true, avx512f)       \
    X(clflushopt, 7_EBX, 23, true, none)          \
    X(clwb, 7_EBX, 24, true, none)                \
    X(avx512cd, 7_EBX, 28, true, avx512f)         \
    X(sha_ni, 7_EBX, 29, true, none)              \
    X(avx512bw, 7_EBX, 30, true, avx512f)         \
    X(avx512vl, 7_EBX, 31, true, avx512f)         \
    X(avx512vbmi, 7_ECX, 1, true, avx512f)        \
    X(umip, 7_ECX, 2, true, none)                 \
    X(avx512_vbmi2, 7_ECX, 6, true, avx512f)      \
    X(gfni, 7_ECX, 8, true, none)                 \
    X(vaes, 7_ECX, 9, true, avx)                  \
    X(vpclmulqdq, 7_ECX, 10, true, avx)           \
    X(avx512_vnni, 7_ECX, 11, true, avx512f)      \
    X(avx512_bitalg, 7_ECX, 12, true, avx512f)    \
    X(avx512_vpopcntdq, 7_ECX, 14, true, avx512f) \
    X(rdpid, 7_ECX, 22, true, rdtscp)             \
    X(xsaveopt, D1_EAX, 0, true, xsave)           \
    X(xsavec, D1_EAX, 1, true, xsave)             \
    X(xgetbv1, D1_EAX, 2, true, xsave)            \
    X(lahf_lm, X1_ECX, 0, true, none)             \
    X(abm, X1_ECX, 5, true, none)                 \
    X(3dnowprefetch, X1_ECX, 8, true, none)       \
    X(topoext, X1_ECX, 22, true, none)            \
    X(syscall, X1_EDX, 11, false, none)           \
    X(nx, X1_EDX, 20, true, none)                 \
    X(pdpe1gb, X1_EDX, 26, true, none)            \
    X(rdtscp, X1_EDX, 27, true, none)             \
    X(lm, X1_EDX, 29, false, none)                \
    X(nonstop_tsc, X7_EDX, 8, true, none)

enum CpuFeature {
#define CPU_FEATURE_ENUM(name, word, bit, may, needs) CPUF_##name,
    CPU_FEATURE_LIST(CPU_FEATURE_ENUM)
#undef CPU_FEATURE_ENUM
    CPU_NFEATURES,
    CPUF_none = CPU_NFEATURES
};

/* For tables: struct CpuFeatureRow rows[] = CPU_FEATURE_ROWS; by enum CpuFeature. */
struct CpuFeatureRow {
    const char *name;
    uint8_t word; /* enum CpuWord */
    uint8_t bit;
    bool may_be_off;
    uint8_t needs; /* enum CpuFeature */
};
#define CPU_FEATURE_ROW(name, word, bit, may, needs) { #name, CPU_##word, bit, may, CPUF_##needs },
#define CPU_FEATURE_ROWS                  \
    {                                     \
        CPU_FEATURE_LIST(CPU_FEATURE_ROW) \
    }

#endif
