/*
 * The whole x87 and SSE state of a guest: set to a pattern, and compared with it. The seed makes
 * two guests' patterns differ.
 */
#ifndef JOS_USER_GUESTS_FX_H
#define JOS_USER_GUESTS_FX_H

#include "rt.h"

/* SDM "FXSAVE: Save x87 FPU, MMX Technology, and SSE State" */
struct FxArea {
    uint16_t fcw, fsw;
    uint8_t ftw, reserved;
    uint16_t fop;
    uint64_t fip, fdp;
    uint32_t mxcsr, mxcsr_mask;
    uint8_t st[8][16];
    uint8_t xmm[16][16];
    uint8_t unused[96];
} __attribute__((aligned(16)));
_Static_assert(sizeof(struct FxArea) == 512, "FXSAVE area");

#define FX_ST_BYTES 10
#define FX_FCW      0x027f /* not the values after reset */
#define FX_MXCSR    0x7f80

/* Load all registers with the pattern of this seed. */
static inline void fx_fill(uint8_t seed)
{
    struct FxArea a = { .fcw = FX_FCW, .ftw = 0xff, .mxcsr = FX_MXCSR };
    for (unsigned i = 0; i < 8; i++)
        memset(a.st[i], seed + i, FX_ST_BYTES);
    for (unsigned i = 0; i < 16; i++)
        memset(a.xmm[i], seed + 16 + i, 16);
    asm volatile("fxrstor64 %0" : : "m"(a));
}

/* Are all registers as fx_fill(seed) left them? */
static inline bool fx_intact(uint8_t seed)
{
    struct FxArea a;
    bool same = true;
    asm volatile("fxsave64 %0" : "=m"(a));
    for (unsigned i = 0; i < 8; i++)
        for (unsigned j = 0; j < FX_ST_BYTES; j++)
            same = same && a.st[i][j] == (uint8_t)(seed + i);
    for (unsigned i = 0; i < 16; i++)
        for (unsigned j = 0; j < 16; j++)
            same = same && a.xmm[i][j] == (uint8_t)(seed + 16 + i);
    return same && a.fcw == FX_FCW && a.ftw == 0xff && a.mxcsr == FX_MXCSR;
}

#endif
