/*
 * The virtual local APIC. Interrupts are edge-triggered, the guest is one CPU with APIC id 0, and
 * an interrupt that comes while the APIC is software-disabled is held until it is enabled.
 */
#include <vmm/internal.h>

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

void vapic_init(struct Vapic *v)
{
    memset(v, 0, sizeof *v);
    v->svr = SVR_RESET;
    for (int i = 0; i < NLVT; i++)
        v->lvt[i] = LVT_MASKED;
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
static inline void update_ppr(struct Vapic *v)
{
    uint32_t latest = v->nserving > 0 ? v->serving[v->nserving - 1] : 0;
    v->ppr = PRIORITY_CLASS(latest) > PRIORITY_CLASS(v->tpr) ? latest & ~0xfu : v->tpr;
}

int vapic_deliverable(const struct Vapic *v)
{
    if (vapic_quiet(v) || !(v->svr & SVR_ENABLE))
        return -1;
    int vector = highest(v->irr);
    return PRIORITY_CLASS((uint32_t)vector) > PRIORITY_CLASS(v->ppr) ? vector : -1;
}

void vapic_raise(struct Guest *g, int vector)
{
    __atomic_or_fetch(&g->vapic.irr[vector / 64], 1ul << vector % 64, __ATOMIC_RELAXED);
    guest_attn(g, ATTN_IRQ);
}

void vapic_unack(struct Guest *g, int vector)
{
    struct Vapic *v = &g->vapic;
    if (v->nserving > 0 && v->serving[v->nserving - 1] == vector)
        v->nserving--;
    update_ppr(v);
    vapic_raise(g, vector);
}

static void end_of_interrupt(struct Guest *g)
{
    struct Vapic *v = &g->vapic;
    if (v->nserving == 0)
        return;
    v->nserving--;
    update_ppr(v);
    if (!vapic_quiet(v))
        guest_attn(g, ATTN_IRQ);
}

static void report_error(struct Guest *g, uint32_t error)
{
    struct Vapic *v = &g->vapic;
    v->esr_pending |= error;
    uint32_t lvt = v->lvt[LVT_ERROR];
    if (!(lvt & LVT_MASKED) && (lvt & LVT_VECTOR) >= FIRST_VECTOR)
        vapic_raise(g, lvt & LVT_VECTOR);
}

void vapic_raise_checked(struct Guest *g, int vector, uint32_t error)
{
    if (vector < FIRST_VECTOR)
        report_error(g, error);
    else
        vapic_raise(g, vector);
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
static void send_ipi(struct Guest *g, uint64_t icr)
{
    uint32_t mode = icr & ICR_DELIVERY;
    g->vapic.icr = icr;
    if ((mode == ICR_FIXED || mode == ICR_LOWEST) && is_for_self(icr))
        vapic_raise_checked(g, icr & LVT_VECTOR, ESR_SEND_ILLEGAL);
    else if (mode == ICR_NMI && is_for_self(icr))
        inject_nmi(g);
}

/* ---- Registers ---- */

uint64_t vapic_read_cr8(struct Guest *g)
{
    return PRIORITY_CLASS(g->vapic.tpr);
}

static void write_tpr(struct Guest *g, uint64_t tpr)
{
    g->vapic.tpr = tpr;
    update_ppr(&g->vapic);
    guest_attn(g, ATTN_IRQ);
}

void vapic_write_cr8(struct Guest *g, uint64_t class)
{
    write_tpr(g, class << 4);
}

/* 32-bit part i of IRR and ISR, one bit a vector. */
static uint32_t requested(const struct Vapic *v, uint32_t i)
{
    return v->irr[i / 2] >> (32 * (i % 2));
}

static uint32_t in_service(const struct Vapic *v, uint32_t i)
{
    uint32_t bits = 0;
    for (uint32_t n = 0; n < v->nserving; n++)
        if (v->serving[n] / 32 == i)
            bits |= 1u << v->serving[n] % 32;
    return bits;
}

bool vapic_read(struct Guest *g, uint32_t msr)
{
    const struct Vapic *v = &g->vapic;
    uint32_t reg = msr - MSR_X2APIC;
    switch (reg) {
    case X2_ID:
    case X2_TMR ... X2_TMR + 7: /* all interrupts are edge-triggered */
        return end_rdmsr(g, 0);
    case X2_VERSION:
        return end_rdmsr(g, VERSION_VALUE);
    case X2_TPR:
        return end_rdmsr(g, v->tpr);
    case X2_PPR:
        return end_rdmsr(g, v->ppr);
    case X2_LDR:
        return end_rdmsr(g, LDR_VALUE);
    case X2_SVR:
        return end_rdmsr(g, v->svr);
    case X2_ISR ... X2_ISR + 7:
        return end_rdmsr(g, in_service(v, reg - X2_ISR));
    case X2_IRR ... X2_IRR + 7:
        return end_rdmsr(g, requested(v, reg - X2_IRR));
    case X2_ESR:
        return end_rdmsr(g, v->esr);
    case X2_ICR:
        return end_rdmsr(g, v->icr);
    case X2_LVT ... X2_LVT + NLVT - 1:
        return end_rdmsr(g, v->lvt[reg - X2_LVT]);
    case X2_INITIAL:
        return end_rdmsr(g, v->timer_initial);
    case X2_CURRENT:
        return end_rdmsr(g, vapic_current_count(g));
    case X2_DIVIDE:
        return end_rdmsr(g, v->timer_divide);
    }
    return inject_gp(g);
}

/* Each of these ends the exit, with skip or (where the value is reserved) inject_gp. */
static bool write_lvt(struct Guest *g, enum VapicLvt n, uint64_t v)
{
    static const uint32_t valid[NLVT] = {
        [LVT_TIMER] = LVT_TIMER_VALID, [LVT_THERMAL] = LVT_OTHER_VALID,
        [LVT_PERF] = LVT_OTHER_VALID,  [LVT_LINT0] = LVT_LINT_VALID,
        [LVT_LINT1] = LVT_LINT_VALID,  [LVT_ERROR] = LVT_VECTOR | LVT_MASKED,
    };
    if (v & ~(uint64_t)valid[n])
        return inject_gp(g);
    if (!(g->vapic.svr & SVR_ENABLE))
        v |= LVT_MASKED;
    if (n == LVT_TIMER)
        vapic_write_timer_lvt(g, v);
    else
        g->vapic.lvt[n] = v;
    return skip(g);
}

static bool write_svr(struct Guest *g, uint64_t svr)
{
    g->vapic.svr = svr;
    for (int i = 0; i < NLVT && !(svr & SVR_ENABLE); i++)
        g->vapic.lvt[i] |= LVT_MASKED;
    guest_attn(g, ATTN_IRQ);
    return skip(g);
}

static void latch_errors(struct Vapic *v)
{
    v->esr = v->esr_pending;
    v->esr_pending = 0;
}

static bool write_eoi(struct Guest *g, uint64_t zero)
{
    (void)zero;
    end_of_interrupt(g);
    return skip(g);
}

static bool write_esr(struct Guest *g, uint64_t zero)
{
    (void)zero;
    latch_errors(&g->vapic);
    return skip(g);
}

static bool write_self_ipi(struct Guest *g, uint64_t vector)
{
    vapic_raise_checked(g, vector, ESR_SEND_ILLEGAL);
    return skip(g);
}

static bool write_divide(struct Guest *g, uint64_t divide)
{
    g->vapic.timer_divide = divide;
    return skip(g);
}

static bool write_task_priority(struct Guest *g, uint64_t tpr)
{
    write_tpr(g, tpr);
    return skip(g);
}

static bool write_icr(struct Guest *g, uint64_t icr)
{
    send_ipi(g, icr);
    return skip(g);
}

static bool write_initial(struct Guest *g, uint64_t count)
{
    vapic_write_initial(g, count);
    return skip(g);
}

/* Writable registers besides the LVT: how, and the bits that they accept. */
static const struct {
    bool (*write)(struct Guest *g, uint64_t value);
    uint64_t valid;
} writable[] = {
    [X2_TPR] = { write_task_priority, 0xff },     [X2_EOI] = { write_eoi, 0 },
    [X2_SVR] = { write_svr, SVR_VALID },          [X2_ESR] = { write_esr, 0 },
    [X2_ICR] = { write_icr, ICR_VALID },          [X2_INITIAL] = { write_initial, UINT32_MAX },
    [X2_DIVIDE] = { write_divide, DIVIDE_VALID }, [X2_SELF_IPI] = { write_self_ipi, LVT_VECTOR },
};

bool vapic_write(struct Guest *g, uint32_t msr, uint64_t value)
{
    uint32_t reg = msr - MSR_X2APIC;
    if (reg >= X2_LVT && reg < X2_LVT + NLVT)
        return write_lvt(g, reg - X2_LVT, value);
    if (reg >= ARRAY_SIZE(writable) || writable[reg].write == NULL ||
        (value & ~writable[reg].valid))
        return inject_gp(g);
    return writable[reg].write(g, value);
}
