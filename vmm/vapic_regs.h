/*
 * The registers of a virtual local APIC that guests use without end, inline where a back end's
 * handlers need them; vapic.c has the others.
 */
#ifndef JOS_VMM_VAPIC_REGS_H
#define JOS_VMM_VAPIC_REGS_H

#include <inc/x86.h>
#include <vmm/vcpu.h>
#include <vmm/vapic.h>
#include <vmm/verdict.h>

/* Registers by MSR number - MSR_X2APIC: SDM "x2APIC Register Address Space" */
enum {
    X2_ID = 0x02,
    X2_VERSION = 0x03,
    X2_TPR = 0x08,
    X2_PPR = 0x0a,
    X2_EOI = 0x0b,
    X2_LDR = 0x0d,
    X2_SVR = 0x0f,
    X2_ISR = 0x10,
    X2_TMR = 0x18,
    X2_IRR = 0x20,
    X2_ESR = 0x28,
    X2_ICR = 0x30,
    X2_LVT = 0x32,
    X2_INITIAL = 0x38,
    X2_CURRENT = 0x39,
    X2_DIVIDE = 0x3e,
    X2_SELF_IPI = 0x3f,
    /* Of xAPIC mode only, by their offsets in the page / 16. */
    XAPIC_ARBITRATION = 0x09,
    XAPIC_REMOTE_READ = 0x0c,
    XAPIC_DFR = 0x0e,
    XAPIC_ICR_HIGH = 0x31,
};

#define VERSION_VALUE     (0x15u | (NLVT - 1) << 16)
#define SVR_ENABLE        (1u << 8)
#define PRIORITY_CLASS(v) ((v) >> 4)
/* The logical id in x2APIC mode: cluster, and bit in it. */
#define X2APIC_LDR(id) (((id) >> 4) << 16 | 1u << ((id)&0xf))

/* Is this MSR a register of the local APIC now, as it is in x2APIC mode? */
static inline bool vapic_has_msr(const struct Vcpu *v, uint32_t msr)
{
    return msr - MSR_X2APIC < v->vapic.nmsrs;
}

/* Request an edge-triggered interrupt. Any CPU may do that. */
static inline void vapic_raise(struct Vcpu *v, int vector)
{
    __atomic_or_fetch(&v->vapic.irr[vector / 64], 1ul << vector % 64, __ATOMIC_RELAXED);
    vcpu_attn(v, ATTN_IRQ);
}

/* Note an ESR_* error. */
void vapic_report_error(struct Vcpu *v, uint32_t error);
/* vapic_raise, or for an illegal vector this ESR_* error. */
static inline void vapic_raise_checked(struct Vcpu *v, int vector, uint32_t error)
{
    if (vector < FIRST_VECTOR)
        vapic_report_error(v, error);
    else
        vapic_raise(v, vector);
}

/* After a change of TPR, or of what is in service (SDM "Task and Processor Priorities"). */
static inline void vapic_update_ppr(struct Vapic *a)
{
    uint32_t latest = a->nserving > 0 ? a->serving[a->nserving - 1] : 0;
    a->ppr = PRIORITY_CLASS(latest) > PRIORITY_CLASS(a->tpr) ? latest & ~0xfu : a->tpr;
}

static inline void vapic_end_of_interrupt(struct Vcpu *v)
{
    struct Vapic *a = &v->vapic;
    if (a->nserving == 0)
        return;
    a->nserving--;
    vapic_update_ppr(a);
    if (!vapic_quiet(a))
        vcpu_attn(v, ATTN_IRQ);
}

/* 32-bit part i of IRR, TMR and ISR, one bit a vector. */
static inline uint32_t vapic_part(const uint64_t *bits, uint32_t i)
{
    return bits[i / 2] >> (32 * (i % 2));
}

static inline uint32_t vapic_in_service(const struct Vapic *a, uint32_t i)
{
    uint32_t bits = 0;
    for (uint32_t n = 0; n < a->nserving; n++)
        if (a->serving[n] / 32 == i)
            bits |= 1u << a->serving[n] % 32;
    return bits;
}

static inline struct MsrValue vapic_value(uint64_t value)
{
    return (struct MsrValue){ .value = value, .verdict = DO_NEXT };
}

/* RDMSR of a vapic_has_msr: DO_NEXT; DO_GP. */
static inline struct MsrValue vapic_read(struct Vcpu *v, uint32_t msr)
{
    const struct Vapic *a = &v->vapic;
    uint32_t reg = msr - MSR_X2APIC;
    switch (reg) {
    case X2_ID:
        return vapic_value(a->id);
    case X2_TMR ... X2_TMR + 7:
        return vapic_value(vapic_part(a->tmr, reg - X2_TMR));
    case X2_VERSION:
        return vapic_value(VERSION_VALUE);
    case X2_TPR:
        return vapic_value(a->tpr);
    case X2_PPR:
        return vapic_value(a->ppr);
    case X2_LDR:
        return vapic_value(X2APIC_LDR(a->id));
    case X2_SVR:
        return vapic_value(a->svr);
    case X2_ISR ... X2_ISR + 7:
        return vapic_value(vapic_in_service(a, reg - X2_ISR));
    case X2_IRR ... X2_IRR + 7:
        return vapic_value(vapic_part(a->irr, reg - X2_IRR));
    case X2_ESR:
        return vapic_value(a->esr);
    case X2_ICR:
        return vapic_value(a->icr);
    case X2_LVT ... X2_LVT + NLVT - 1:
        return vapic_value(a->lvt[reg - X2_LVT]);
    case X2_INITIAL:
        return vapic_value(a->timer_initial);
    case X2_CURRENT:
        return vapic_value(vapic_current_count(v));
    case X2_DIVIDE:
        return vapic_value(a->timer_divide);
    }
    return (struct MsrValue){ .verdict = DO_GP };
}

/* WRMSR of a vapic_has_msr: DO_NEXT; DO_GP; DO_LEAVE: it has ended the guest. */
enum Verdict vapic_write_other(struct Vcpu *v, uint32_t msr, uint64_t value);
/* Write a register that both modes have, but for EOI, as in xAPIC mode: what is reserved is
 * ignored. DO_NEXT; DO_LEAVE; DO_GP: there is no such register that can be written. */
enum Verdict vapic_write_masked(struct Vcpu *v, uint32_t reg, uint32_t value);
static inline enum Verdict vapic_write(struct Vcpu *v, uint32_t msr, uint64_t value)
{
    uint32_t reg = msr - MSR_X2APIC;
    if (reg == X2_EOI && value == 0) {
        vapic_end_of_interrupt(v);
        return DO_NEXT;
    }
    if (reg == X2_SELF_IPI && !(value & ~(uint64_t)LVT_VECTOR)) {
        vapic_raise_checked(v, value, ESR_SEND_ILLEGAL);
        return DO_NEXT;
    }
    return vapic_write_other(v, msr, value);
}

#endif
