/*
 * The virtual local APIC: its vectors, and its registers as x2APIC mode has them. An interrupt that
 * comes while the APIC is software-disabled is held until it is enabled. What differs in xAPIC mode
 * is in vapic_xapic.c, what is sent to APICs in vapic_ipi.c, and the modes in vapic_base.c.
 */
#include <inc/string.h>
#include <inc/x86.h>
#include <vmm/vapic.h>
#include <vmm/verdict.h>
#include <vmm/vapic_regs.h>

#define SVR_VALID       0x3ffu /* vector, enable, focus */
#define LVT_TIMER_VALID (LVT_VECTOR | LVT_MASKED | LVT_MODE)
#define LVT_LINT_VALID  0x1a7ffu
#define LVT_OTHER_VALID 0x107ffu
#define DIVIDE_VALID    0xbu
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

int vapic_deliverable(const struct Vapic *a)
{
    if (vapic_quiet(a) || !(a->svr & SVR_ENABLE))
        return -1;
    int vector = highest(a->irr);
    return PRIORITY_CLASS((uint32_t)vector) > PRIORITY_CLASS(a->ppr) ? vector : -1;
}

void vapic_unack(struct Vcpu *v, int vector)
{
    struct Vapic *a = &v->vapic;
    if (a->nserving > 0 && a->serving[a->nserving - 1] == vector)
        a->nserving--;
    vapic_update_ppr(a);
    vapic_raise(v, vector);
}

void vapic_report_error(struct Vcpu *v, uint32_t error)
{
    struct Vapic *a = &v->vapic;
    a->esr_pending |= error;
    uint32_t lvt = a->lvt[LVT_ERROR];
    if (!(lvt & LVT_MASKED) && (lvt & LVT_VECTOR) >= FIRST_VECTOR)
        vapic_raise(v, lvt & LVT_VECTOR);
}

/* ---- Registers ---- */

uint64_t vapic_read_cr8(struct Vcpu *v)
{
    return PRIORITY_CLASS(v->vapic.tpr);
}

static void write_tpr(struct Vcpu *v, uint64_t tpr)
{
    v->vapic.tpr = tpr;
    vapic_update_ppr(&v->vapic);
    vcpu_attn(v, ATTN_IRQ);
}

void vapic_write_cr8(struct Vcpu *v, uint64_t class)
{
    write_tpr(v, class << 4);
}

static const uint32_t lvt_valid[NLVT] = {
    [LVT_TIMER] = LVT_TIMER_VALID, [LVT_THERMAL] = LVT_OTHER_VALID,
    [LVT_PERF] = LVT_OTHER_VALID,  [LVT_LINT0] = LVT_LINT_VALID,
    [LVT_LINT1] = LVT_LINT_VALID,  [LVT_ERROR] = LVT_VECTOR | LVT_MASKED,
};

static enum Verdict write_lvt(struct Vcpu *v, enum VapicLvt n, uint32_t value)
{
    if (!(v->vapic.svr & SVR_ENABLE))
        value |= LVT_MASKED;
    if (n == LVT_TIMER)
        vapic_write_timer_lvt(v, value);
    else
        v->vapic.lvt[n] = value;
    return DO_NEXT;
}

/* Each of these writes a valid value, and gives the verdict. */
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

static enum Verdict write_esr(struct Vcpu *v, uint64_t zero)
{
    (void)zero;
    latch_errors(&v->vapic);
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

static enum Verdict write_initial(struct Vcpu *v, uint64_t count)
{
    vapic_write_initial(v, count);
    return DO_NEXT;
}

/* Writable registers besides the LVT and those of vapic_write: how, and the bits that they have. */
static const struct {
    enum Verdict (*write)(struct Vcpu *v, uint64_t value);
    uint64_t valid;
} writable[] = {
    [X2_TPR] = { write_task_priority, 0xff },
    [X2_SVR] = { write_svr, SVR_VALID },
    [X2_ESR] = { write_esr, 0 },
    [X2_ICR] = { vapic_send_ipi, ICR_VALID },
    [X2_INITIAL] = { write_initial, UINT32_MAX },
    [X2_DIVIDE] = { write_divide, DIVIDE_VALID },
};

static bool is_lvt(uint32_t reg)
{
    return reg >= X2_LVT && reg < X2_LVT + NLVT;
}

static bool is_writable(uint32_t reg)
{
    return reg < ARRAY_SIZE(writable) && writable[reg].write;
}

enum Verdict vapic_write_other(struct Vcpu *v, uint32_t msr, uint64_t value)
{
    uint32_t reg = msr - MSR_X2APIC;
    if (is_lvt(reg))
        return value & ~(uint64_t)lvt_valid[reg - X2_LVT] ? DO_GP
                                                          : write_lvt(v, reg - X2_LVT, value);
    if (!is_writable(reg) || (value & ~writable[reg].valid))
        return DO_GP;
    return writable[reg].write(v, value);
}

enum Verdict vapic_write_masked(struct Vcpu *v, uint32_t reg, uint32_t value)
{
    if (is_lvt(reg))
        return write_lvt(v, reg - X2_LVT, value & lvt_valid[reg - X2_LVT]);
    return is_writable(reg) ? writable[reg].write(v, value & writable[reg].valid) : DO_GP;
}
