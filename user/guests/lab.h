/*
 * What the guests that test exercises share. Each property is a line; the nonce is the last word of
 * the guest's command line, and shows that the guest has printed it:
 *     lab-cpuid NONCE 6 no-vmx: ok
 *     lab-cpuid NONCE 6 no-vmx: FAIL expected 0x0 as ECX bit 5; saw 0x20
 *     lab-cpuid NONCE 6 sum: 9 ok, 1 failed
 */
#ifndef JOS_USER_GUESTS_LAB_H
#define JOS_USER_GUESTS_LAB_H

#include "rt.h"

/* Print whether a property holds: `seen` is `expected`. what: where the number comes from. */
void property(int exercise, const char *name, const char *what, uint64_t expected, uint64_t seen);
void property_sum(int exercise);

/* A hypercall with all general registers but RSP and RBP from, and to, regs (in the order of REGS).
 */
enum {
    REG_AX,
    REG_BX,
    REG_CX,
    REG_DX,
    REG_SI,
    REG_DI,
    REG_8,
    REG_15 = REG_8 + 7,
    NREGS
};
void vmcall_regs(uint64_t regs[NREGS]);

#endif
