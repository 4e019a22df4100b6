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
#define ESR_REGISTER        (1u << 7) /* no register has this address; xAPIC mode only */
#define FIRST_VECTOR        16        /* smaller ones are illegal */
#define NCLASS              16        /* of priorities: a vector's upper four bits */

/* IA32_APIC_BASE (SDM "Local APIC Status and Location"). */
#define APIC_BASE_BSP    (1ul << 8)
#define APIC_BASE_EXTD   (1ul << 10) /* x2APIC mode */
#define APIC_BASE_EN     (1ul << 11)
#define APIC_BASE_MODE   (APIC_BASE_EN | APIC_BASE_EXTD)
#define APIC_BASE_XAPIC  APIC_BASE_EN
#define APIC_BASE_X2APIC APIC_BASE_MODE
#define APIC_BASE_RESET  0xfee00000ul /* the page's address */

#define NO_APIC_PAGE (~0ul)
#define NX2APIC_MSRS 0x100u

struct Vapic {
    uint64_t base;           /* IA32_APIC_BASE */
    uint64_t page;           /* gpa of its registers, in xAPIC mode; else NO_APIC_PAGE */
    uint32_t nmsrs;          /* of its registers: NX2APIC_MSRS in x2APIC mode, else 0 */
    uint32_t id;             /* APIC id */
    uint32_t ldr, dfr;       /* logical destination and its format: as xAPIC mode has them */
    uint64_t irr[4];         /* one bit a vector: requested */
    uint64_t tmr[4];         /* one bit a vector: accepted level-triggered */
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
