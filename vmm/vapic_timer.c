/*
 * The timer of the virtual local APIC: one-shot, periodic and TSC-deadline mode (SDM "APIC Timer").
 * Its input clock is the TSC; deadlines are kept in the host's TSC, and the run loop looks here
 * when one has come.
 */
#include <vmm/vapic_regs.h>
#include <vmm/vapic.h>
#include <vmm/vcpu.h>
#include <kern/platform.h>
#include <kern/dev/clock.h>

/*
 * The shortest period of the periodic mode: a shorter one would leave the guest no time between two
 * interrupts, each of which costs two exits (the timer's, and the guest's EOI) and their entries.
 * On a CPU that is some thousand ticks. Under another hypervisor, each VMREAD, VMWRITE and entry
 * may be an exit of hOS there: about a hundred of them for an interrupt, and CPUID shows what one
 * costs. Both leave the guest more than half of its time. The other modes need no floor, since the
 * guest itself arms them for each interrupt.
 */
#define MIN_PERIOD_US    200
#define MIN_PERIOD_EXITS 256
#define CPUID_TRIES      8

static uint64_t min_period; /* ticks */

/* The best of some tries: this CPU may be taken away meanwhile. */
static uint64_t cpuid_ticks(void)
{
    uint64_t best = ~0ul;
    for (int i = 0; i < CPUID_TRIES; i++) {
        uint64_t start = read_tsc();
        cpuid(0, 0);
        best = MIN(best, read_tsc() - start);
    }
    return best;
}

void vapic_timer_init(void)
{
    if (min_period == 0)
        min_period = MAX(tsc_khz * MIN_PERIOD_US / 1000, cpuid_ticks() * MIN_PERIOD_EXITS);
}

static uint32_t timer_mode(const struct Vapic *a)
{
    return a->lvt[LVT_TIMER] & LVT_MODE;
}

/* Ticks a count: the divide configuration has its three bits at 0, 1 and 3; 7 means 1. */
static uint32_t divisor(const struct Vapic *a)
{
    uint32_t bits = (a->timer_divide & 3) | (a->timer_divide & 8) >> 1;
    return bits == 7 ? 1 : 2u << bits;
}

/* Ticks from the start of a count to its end. */
static uint64_t period(const struct Vapic *a)
{
    uint64_t ticks = (uint64_t)a->timer_initial * divisor(a);
    return timer_mode(a) == LVT_PERIODIC ? MAX(ticks, min_period) : ticks;
}

/* The run loop has to look at the new deadline. */
static void set_due(struct Vcpu *v, uint64_t due)
{
    v->vapic.timer_due = due;
    look_around_soon(v);
}

static void expire(struct Vcpu *v)
{
    uint32_t lvt = v->vapic.lvt[LVT_TIMER];
    if (!(lvt & LVT_MASKED))
        vapic_raise_checked(v, lvt & LVT_VECTOR, ESR_RECEIVE_ILLEGAL);
}

void vapic_timer_check(struct Vcpu *v, uint64_t now)
{
    struct Vapic *a = &v->vapic;
    if (a->timer_due == 0 || now < a->timer_due)
        return;
    if (timer_mode(a) == LVT_PERIODIC) {
        uint64_t p = period(a);
        a->timer_due += (now - a->timer_due) / p * p + p;
    } else {
        a->timer_due = 0;
    }
    expire(v);
}

uint64_t vapic_current_count(struct Vcpu *v)
{
    struct Vapic *a = &v->vapic;
    uint64_t now = read_tsc();
    vapic_timer_check(v, now);
    if (timer_mode(a) == LVT_DEADLINE || a->timer_due <= now)
        return 0;
    return MIN((a->timer_due - now) / divisor(a), (uint64_t)a->timer_initial);
}

void vapic_write_initial(struct Vcpu *v, uint64_t count)
{
    if (timer_mode(&v->vapic) == LVT_DEADLINE)
        return; /* ignored in this mode */
    v->vapic.timer_initial = count;
    set_due(v, count == 0 ? 0 : read_tsc() + period(&v->vapic));
}

/* A change of the mode to or from TSC deadline disarms the timer (SDM "TSC-Deadline Mode"). */
void vapic_write_timer_lvt(struct Vcpu *v, uint32_t lvt)
{
    uint32_t old = v->vapic.lvt[LVT_TIMER];
    v->vapic.lvt[LVT_TIMER] = lvt;
    if ((old ^ lvt) & LVT_DEADLINE) {
        v->vapic.timer_initial = 0;
        set_due(v, 0);
    }
}

uint64_t vapic_read_deadline(struct Vcpu *v)
{
    const struct Vapic *a = &v->vapic;
    vapic_timer_check(v, read_tsc());
    if (timer_mode(a) != LVT_DEADLINE || a->timer_due == 0)
        return 0;
    return a->timer_due + v->tsc_offset;
}

void vapic_write_deadline(struct Vcpu *v, uint64_t tsc)
{
    if (timer_mode(&v->vapic) != LVT_DEADLINE)
        return; /* ignored in the other modes */
    if (tsc == 0) {
        set_due(v, 0);
        return;
    }
    uint64_t now = read_tsc(), guest_now = now + v->tsc_offset;
    if (tsc > guest_now) {
        set_due(v, now + MIN(tsc - guest_now, (~0ul >> 1)));
        return;
    }
    v->vapic.timer_due = 0; /* at once; the run loop has no deadline to look at */
    expire(v);
}
