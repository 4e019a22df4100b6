/*
 * The state of a virtual local APIC.
 */
#ifndef JOS_VMM_VAPIC_STATE_H
#define JOS_VMM_VAPIC_STATE_H

#include <inc/types.h>

enum VapicLvt {
    LVT_TIMER,
    LVT_THERMAL,
    LVT_PERF,
    LVT_LINT0,
    LVT_LINT1,
    LVT_ERROR,
    NLVT
};

/* Bits of LVT entries and of the error status register; vectors below 16 are illegal. */
#define LVT_MASKED          (1u << 16)
#define LVT_VECTOR          0xffu
#define LVT_MODE            0x60000u /* of the timer */
#define LVT_PERIODIC        0x20000u
#define LVT_DEADLINE        0x40000u
#define ESR_SEND_ILLEGAL    (1u << 5)
#define ESR_RECEIVE_ILLEGAL (1u << 6)
#define FIRST_VECTOR        16 /* smaller ones are illegal */
#define NCLASS              16 /* of priorities: a vector's upper four bits */

struct Vapic {
    uint64_t irr[4];         /* one bit a vector: requested */
    uint8_t serving[NCLASS]; /* vectors in service, the latest last; each is of a higher class */
    uint32_t nserving;
    uint32_t tpr, ppr, svr;
    uint32_t lvt[NLVT];
    uint32_t esr, esr_pending; /* as last read out, and collected since */
    uint64_t icr;
    uint32_t timer_divide;  /* divide configuration register */
    uint32_t timer_initial; /* initial count */
    uint64_t timer_due;     /* host TSC of the next expiry; 0: not armed */
};

#endif
