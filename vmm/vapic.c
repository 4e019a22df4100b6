/*
 * The virtual local APIC. Interrupts are edge-triggered, the guest is one CPU with APIC id 0, and
 * an interrupt that comes while the APIC is software-disabled is held until it is enabled.
 */
#include <inc/string.h>
#include <inc/x86.h>
#include <vmm/vcpu.h>

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
};

#define VERSION_VALUE    (0x15u | (NLVT - 1) << 16)
#define LDR_VALUE        1u /* cluster 0, bit 0 */
#define SVR_ENABLE       (1u << 8)
#define SVR_VALID        0x3ffu /* vector, enable, focus */
#define SVR_RESET        0xffu
#define LVT_TIMER_VALID  (LVT_VECTOR | LVT_MASKED | LVT_MODE)
#define LVT_LINT_VALID   0x1a7ffu
#define LVT_OTHER_VALID  0x107ffu
#define DIVIDE_VALID     0xbu
#define ICR_DELIVERY     0x700u
#define ICR_FIXED        0x000u
#define ICR_LOWEST       0x100u
#define ICR_NMI          0x400u
#define ICR_LOGICAL      (1u << 11)
#define ICR_SHORTHAND(v) (((v) >> 18) & 3)
#define ICR_VALID        0xffffffff000ccfffull
#define ICR_BROADCAST    0xffffffffu
enum {
    SHORT_NONE,
    SHORT_SELF,
    SHORT_ALL,
    SHORT_OTHERS
};
#define PRIORITY_CLASS(v) ((v) >> 4)

void vapic_init(struct Vapic *a)
{
    memset(a, 0, sizeof *a);
    a->svr = SVR_RESET;
    for (int i = 0; i < NLVT; i++)
        a->lvt[i] = LVT_MASKED;
}

/* ---- Vectors ---- */

/* The highest bit that is set; one is. */
static inline uint32_t highest(const uint64_t *bits)
{
#pragma GCC unroll 4
    for (int i = 3; i > 0; i--)
        if (bits[i] != 0)
            return 64 * i + 63 - __builtin_clzll(bits[i]);
    return 63 - __builtin_clzll(bits[0]);
}

/* After a change of TPR, or of what is in service (SDM "Task and Processor Priorities"). */
static inline void update_ppr(struct Vapic *a)
{
    uint32_t latest = a->nserving > 0 ? a->serving[a->nserving - 1] : 0;
    a->ppr = PRIORITY_CLASS(latest) > PRIORITY_CLASS(a->tpr) ? latest & ~0xfu : a->tpr;
}

int vapic_deliverable(const struct Vapic *a)
{
    if (vapic_quiet(a) || !(a->svr & SVR_ENABLE))
        return -1;
    int vector = highest(a->irr);
    return PRIORITY_CLASS((uint32_t)vector) > PRIORITY_CLASS(a->ppr) ? vector : -1;
}

void vapic_raise(struct Vcpu *v, int vector)
{
    __atomic_or_fetch(&v->vapic.irr[vector / 64], 1ul << vector % 64, __ATOMIC_RELAXED);
    vcpu_attn(v, ATTN_IRQ);
}

void vapic_unack(struct Vcpu *v, int vector)
{
    struct Vapic *a = &v->vapic;
    if (a->nserving > 0 && a->serving[a->nserving - 1] == vector)
        a->nserving--;
    update_ppr(a);
    vapic_raise(v, vector);
}

static void end_of_interrupt(struct Vcpu *v)
{
    struct Vapic *a = &v->vapic;
    if (a->nserving == 0)
        return;
    a->nserving--;
    update_ppr(a);
    if (!vapic_quiet(a))
        vcpu_attn(v, ATTN_IRQ);
}

static void report_error(struct Vcpu *v, uint32_t error)
{
    struct Vapic *a = &v->vapic;
    a->esr_pending |= error;
    uint32_t lvt = a->lvt[LVT_ERROR];
    if (!(lvt & LVT_MASKED) && (lvt & LVT_VECTOR) >= FIRST_VECTOR)
        vapic_raise(v, lvt & LVT_VECTOR);
}

void vapic_raise_checked(struct Vcpu *v, int vector, uint32_t error)
{
    if (vector < FIRST_VECTOR)
        report_error(v, error);
    else
        vapic_raise(v, vector);
}

/* Does this ICR value name the guest's only CPU? */
static bool is_for_self(uint64_t icr)
{
    uint32_t dest = icr >> 32;
    switch (ICR_SHORTHAND(icr)) {
    case SHORT_SELF:
    case SHORT_ALL:
        return true;
    case SHORT_OTHERS:
        return false;
    }
    if (dest == ICR_BROADCAST)
        return true;
    return icr & ICR_LOGICAL ? dest >> 16 == 0 && (dest & LDR_VALUE) : dest == 0;
}

/* Fixed interrupts and NMIs to the guest's own CPU; there is no other, and it needs no INIT or SIPI
 * from itself. (The manual gives NMI no meaning with the shorthands that include the CPU itself;
 * they name it like its id.) */
static void send_ipi(struct Vcpu *v, uint64_t icr)
{
    uint32_t mode = icr & ICR_DELIVERY;
    v->vapic.icr = icr;
    if ((mode == ICR_FIXED || mode == ICR_LOWEST) && is_for_self(icr))
        vapic_raise_checked(v, icr & LVT_VECTOR, ESR_SEND_ILLEGAL);
    else if (mode == ICR_NMI && is_for_self(icr))
        event_nmi(v);
}

/* ---- Registers ---- */

uint64_t vapic_read_cr8(struct Vcpu *v)
{
    return PRIORITY_CLASS(v->vapic.tpr);
}

static void write_tpr(struct Vcpu *v, uint64_t tpr)
{
    v->vapic.tpr = tpr;
    update_ppr(&v->vapic);
    vcpu_attn(v, ATTN_IRQ);
}

void vapic_write_cr8(struct Vcpu *v, uint64_t class)
{
    write_tpr(v, class << 4);
}

/* 32-bit part i of IRR and ISR, one bit a vector. */
static uint32_t requested(const struct Vapic *a, uint32_t i)
{
    return a->irr[i / 2] >> (32 * (i % 2));
}

static uint32_t in_service(const struct Vapic *a, uint32_t i)
{
    uint32_t bits = 0;
    for (uint32_t n = 0; n < a->nserving; n++)
        if (a->serving[n] / 32 == i)
            bits |= 1u << a->serving[n] % 32;
    return bits;
}

static inline struct MsrValue reg_is(uint64_t value)
{
    return (struct MsrValue){ .value = value, .verdict = DO_NEXT };
}

struct MsrValue vapic_read(struct Vcpu *v, uint32_t msr)
{
    const struct Vapic *a = &v->vapic;
    uint32_t reg = msr - MSR_X2APIC;
    switch (reg) {
    case X2_ID:
    case X2_TMR ... X2_TMR + 7: /* all interrupts are edge-triggered */
        return reg_is(0);
    case X2_VERSION:
        return reg_is(VERSION_VALUE);
    case X2_TPR:
        return reg_is(a->tpr);
    case X2_PPR:
        return reg_is(a->ppr);
    case X2_LDR:
        return reg_is(LDR_VALUE);
    case X2_SVR:
        return reg_is(a->svr);
    case X2_ISR ... X2_ISR + 7:
        return reg_is(in_service(a, reg - X2_ISR));
    case X2_IRR ... X2_IRR + 7:
        return reg_is(requested(a, reg - X2_IRR));
    case X2_ESR:
        return reg_is(a->esr);
    case X2_ICR:
        return reg_is(a->icr);
    case X2_LVT ... X2_LVT + NLVT - 1:
        return reg_is(a->lvt[reg - X2_LVT]);
    case X2_INITIAL:
        return reg_is(a->timer_initial);
    case X2_CURRENT:
        return reg_is(vapic_current_count(v));
    case X2_DIVIDE:
        return reg_is(a->timer_divide);
    }
    return (struct MsrValue){ .verdict = DO_GP };
}

/* Each of these gives the verdict: DO_NEXT or, where the value is reserved, DO_GP. */
static enum Verdict write_lvt(struct Vcpu *v, enum VapicLvt n, uint64_t value)
{
    static const uint32_t valid[NLVT] = {
        [LVT_TIMER] = LVT_TIMER_VALID, [LVT_THERMAL] = LVT_OTHER_VALID,
        [LVT_PERF] = LVT_OTHER_VALID,  [LVT_LINT0] = LVT_LINT_VALID,
        [LVT_LINT1] = LVT_LINT_VALID,  [LVT_ERROR] = LVT_VECTOR | LVT_MASKED,
    };
    if (value & ~(uint64_t)valid[n])
        return DO_GP;
    if (!(v->vapic.svr & SVR_ENABLE))
        value |= LVT_MASKED;
    if (n == LVT_TIMER)
        vapic_write_timer_lvt(v, value);
    else
        v->vapic.lvt[n] = value;
    return DO_NEXT;
}

static enum Verdict write_svr(struct Vcpu *v, uint64_t svr)
{
    v->vapic.svr = svr;
    for (int i = 0; i < NLVT && !(svr & SVR_ENABLE); i++)
        v->vapic.lvt[i] |= LVT_MASKED;
    vcpu_attn(v, ATTN_IRQ);
    return DO_NEXT;
}

static void latch_errors(struct Vapic *a)
{
    a->esr = a->esr_pending;
    a->esr_pending = 0;
}

static enum Verdict write_eoi(struct Vcpu *v, uint64_t zero)
{
    (void)zero;
    end_of_interrupt(v);
    return DO_NEXT;
}

static enum Verdict write_esr(struct Vcpu *v, uint64_t zero)
{
    (void)zero;
    latch_errors(&v->vapic);
    return DO_NEXT;
}

static enum Verdict write_self_ipi(struct Vcpu *v, uint64_t vector)
{
    vapic_raise_checked(v, vector, ESR_SEND_ILLEGAL);
    return DO_NEXT;
}

static enum Verdict write_divide(struct Vcpu *v, uint64_t divide)
{
    v->vapic.timer_divide = divide;
    return DO_NEXT;
}

static enum Verdict write_task_priority(struct Vcpu *v, uint64_t tpr)
{
    write_tpr(v, tpr);
    return DO_NEXT;
}

static enum Verdict write_icr(struct Vcpu *v, uint64_t icr)
{
    send_ipi(v, icr);
    return DO_NEXT;
}

static enum Verdict write_initial(struct Vcpu *v, uint64_t count)
{
    vapic_write_initial(v, count);
    return DO_NEXT;
}

/* Writable registers besides the LVT: how, and the bits that they accept. */
static const struct {
    enum Verdict (*write)(struct Vcpu *v, uint64_t value);
    uint64_t valid;
} writable[] = {
    [X2_TPR] = { write_task_priority, 0xff },     [X2_EOI] = { write_eoi, 0 },
    [X2_SVR] = { write_svr, SVR_VALID },          [X2_ESR] = { write_esr, 0 },
    [X2_ICR] = { write_icr, ICR_VALID },          [X2_INITIAL] = { write_initial, UINT32_MAX },
    [X2_DIVIDE] = { write_divide, DIVIDE_VALID }, [X2_SELF_IPI] = { write_self_ipi, LVT_VECTOR },
};

enum Verdict vapic_write(struct Vcpu *v, uint32_t msr, uint64_t value)
{
    uint32_t reg = msr - MSR_X2APIC;
    if (reg >= X2_LVT && reg < X2_LVT + NLVT)
        return write_lvt(v, reg - X2_LVT, value);
    if (reg >= ARRAY_SIZE(writable) || writable[reg].write == NULL ||
        (value & ~writable[reg].valid))
        return DO_GP;
    return writable[reg].write(v, value);
}
