/*
 * AVX's registers of a guest: set to a pattern, and compared with it.
 */
#ifndef JOS_USER_GUESTS_YMM_H
#define JOS_USER_GUESTS_YMM_H

#include <inc/xsave.h>
#include "rt.h"

#define NYMM      16
#define YMM_BYTES 32

struct Ymm {
    uint8_t reg[NYMM][YMM_BYTES];
} __attribute__((aligned(32)));

#define EACH_YMM(X) \
    X(0)            \
    X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15)

/* Let the CPU have them, as an operating system does. false: it has none. */
static inline bool ymm_enable(void)
{
    uint32_t need = CPUID1_ECX_XSAVE | CPUID1_ECX_AVX;
    if ((cpuid(1, 0).ecx & need) != need)
        return false;
    lcr4(rcr4() | CR4_OSXSAVE);
    xsetbv(0, XCR0_LEGACY | XCR0_AVX);
    return true;
}

static inline void ymm_fill(uint8_t seed)
{
    struct Ymm y;
    for (unsigned i = 0; i < NYMM; i++)
        memset(y.reg[i], seed + i, YMM_BYTES);
#define YMM_LOAD(n) asm volatile("vmovdqa %0, %%ymm" #n : : "m"(y.reg[n]), "m"(y));
    EACH_YMM(YMM_LOAD)
}

static inline void ymm_store(struct Ymm *y)
{
#define YMM_STORE(n) asm volatile("vmovdqa %%ymm" #n ", %0" : "=m"(y->reg[n]) : : "memory");
    EACH_YMM(YMM_STORE)
}

/* Are they as ymm_fill(seed) left them, from this byte on? */
static inline bool ymm_intact_from(uint8_t seed, unsigned from)
{
    struct Ymm y;
    ymm_store(&y);
    for (unsigned i = 0; i < NYMM; i++)
        for (unsigned j = from; j < YMM_BYTES; j++)
            if (y.reg[i][j] != (uint8_t)(seed + i))
                return false;
    return true;
}

static inline bool ymm_intact(uint8_t seed)
{
    return ymm_intact_from(seed, 0);
}

/* The same of the halves that only AVX knows. */
static inline bool ymm_upper_intact(uint8_t seed)
{
    return ymm_intact_from(seed, YMM_BYTES / 2);
}

/* Have those no value? */
static inline bool ymm_upper_zero(void)
{
    struct Ymm y;
    ymm_store(&y);
    for (unsigned i = 0; i < NYMM; i++)
        for (unsigned j = YMM_BYTES / 2; j < YMM_BYTES; j++)
            if (y.reg[i][j] != 0)
                return false;
    return true;
}

#endif
