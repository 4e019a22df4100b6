/*
 * XSAVE: components of a CPU's state, XCR0, and the layout of an XSAVE area (SDM "Managing State
 * Using the XSAVE Feature Set").
 */
#ifndef JOS_INC_XSAVE_H
#define JOS_INC_XSAVE_H

#include "types.h"

#define XCR0_X87        (1ul << 0)
#define XCR0_SSE        (1ul << 1)
#define XCR0_AVX        (1ul << 2)
#define XCR0_MPX        (3ul << 3) /* bound registers, and their configuration */
#define XCR0_AVX512     (7ul << 5) /* opmasks, upper halves of ZMM0 to 15, ZMM16 to 31 */
#define XCR0_PKRU       (1ul << 9)
#define XCR0_LEGACY     (XCR0_X87 | XCR0_SSE)
#define XCR0_COMPONENTS 63 /* bits for components */

#define CPUID_XSAVE        0xd
#define CPUID1_ECX_XSAVE   (1u << 26)
#define CPUID1_ECX_OSXSAVE (1u << 27)
#define CPUID1_ECX_AVX     (1u << 28)

#define XSAVE_LEGACY_BYTES 512
#define XSAVE_HEADER_BYTES 64

struct XsaveArea {
    uint8_t x87_and_xmm[24];
    uint32_t mxcsr, mxcsr_mask;
    uint8_t legacy[XSAVE_LEGACY_BYTES - 32];
    uint64_t xstate_bv, xcomp_bv;
    uint64_t reserved[6];
    uint8_t extended[]; /* where CPUID leaf 0xd says */
} __attribute__((aligned(64)));
_Static_assert(offsetof(struct XsaveArea, mxcsr) == 24, "MXCSR");
_Static_assert(offsetof(struct XsaveArea, extended) == XSAVE_LEGACY_BYTES + XSAVE_HEADER_BYTES,
               "header");

static inline uint64_t xgetbv(uint32_t index)
{
    uint32_t lo, hi;
    asm volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(index));
    return (uint64_t)hi << 32 | lo;
}

static inline void xsetbv(uint32_t index, uint64_t value)
{
    asm volatile("xsetbv" : : "c"(index), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

#endif
