/*
 * The virtual local APIC. Interrupts are edge-triggered, the guest is one CPU with APIC id 0, and
 * an interrupt that comes while the APIC is software-disabled is held until it is enabled.
 */
#include <inc/string.h>
#include <inc/x86.h>
#include <vmm/vapic.h>
#include <vmm/verdict.h>
#include <vmm/vapic_regs.h>

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

void vapic_init(struct Vapic *a)
{
    memset(a, 0, sizeof(*a));
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
        vcpu_nmi(v);
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

/* Writable registers besides the LVT and those of vapic_write: how, and the bits that they accept.
 */
static const struct {
    enum Verdict (*write)(struct Vcpu *v, uint64_t value);
    uint64_t valid;
} writable[] = {
    [X2_TPR] = { write_task_priority, 0xff },
    [X2_SVR] = { write_svr, SVR_VALID },
    [X2_ESR] = { write_esr, 0 },
    [X2_ICR] = { write_icr, ICR_VALID },
    [X2_INITIAL] = { write_initial, UINT32_MAX },
    [X2_DIVIDE] = { write_divide, DIVIDE_VALID },
};

enum Verdict vapic_write_other(struct Vcpu *v, uint32_t msr, uint64_t value)
{
    uint32_t reg = msr - MSR_X2APIC;
    if (reg >= X2_LVT && reg < X2_LVT + NLVT)
        return write_lvt(v, reg - X2_LVT, value);
    if (reg >= ARRAY_SIZE(writable) || !writable[reg].write || (value & ~writable[reg].valid))
        return DO_GP;
    return writable[reg].write(v, value);
}
