/*
 * Events that enter a guest: those that wait in Vcpu.event, interrupts of its virtual APIC, and
 * those whose delivery an exit interrupted (APM 2 "Event Injection", "EXITINTINFO Pseudo-Code").
 *
 * An interrupt is injected where the guest can take it. Where it cannot, a virtual interrupt
 * (V_IRQ) is pending, only as a window: it exits when RFLAGS.IF is set, and is never delivered,
 * since emulators disagree about how (QEMU 7.2 and Bochs 2.7 report its interrupted delivery
 * wrongly, and QEMU aborts when a MOV to CR8 meets it, which therefore exits). In an interrupt
 * shadow QEMU opens the window one instruction early, and Bochs never: there the host's timer ends
 * the entry soon.
 */
#include <inc/string.h>
#include <kern/dev/lapic.h>
#include <kern/sched.h>
#include <kern/trap.h>
#include <vmm/check.h>
#include <vmm/debug/debug.h>
#include <vmm/debug/dr.h>
#include <vmm/debug/drs.h>
#include <vmm/stop.h>
#include <vmm/svm/exits.h>
#include <vmm/svm/inject.h>
#include <vmm/svm/insn.h>
#include <vmm/svm/run.h>
#include <vmm/vapic.h>
#include <vmm/verdict.h>
#include <vmm/svm/svm_vcpu.h>

#define SOON_TICKS 2000

void svm_inject_fault(struct Vcpu *v, int vector, uint32_t error)
{
    struct Vmcb *b = svm_vmcb(v);
    b->rflags |= FL_RF;
    event_exception(v, vector, error, b->cr0 & CR0_PE);
}

/* ---- An exit has interrupted a delivery ---- */

static bool is_software(uint32_t info)
{
    uint32_t type = info & EVENT_TYPE;
    return type == EVENT_SOFT_INT || type == EVENT_SOFT_EXC || type == EVENT_PRIV_EXC;
}

/* Was the event raised by the instruction at RIP (INT n, INT3, INTO or INT1)? Then executing that
 * instruction again raises it again. */
static bool is_by_instruction(struct SvmVcpu *s)
{
    struct SvmInsn insn;
    if (!svm_decode(s, &insn) || insn.two_bytes)
        return false;
    return insn.opcode == 0xcc || insn.opcode == 0xcd || insn.opcode == 0xce || insn.opcode == 0xf1;
}

/* One that the last entry has injected: the guest is back at its instruction. */
static bool keep_software(struct SvmVcpu *s, uint32_t info)
{
    if (!(s->soft.info & EVENT_VALID) || ((s->soft.info ^ info) & EVENT_VECTOR))
        return false;
    s->vmcb->rip -= s->soft.length;
    s->v.event = s->soft;
    s->soft.info = 0;
    vcpu_attn(&s->v, ATTN_EVENT);
    return true;
}

void svm_keep_event(struct SvmVcpu *s, uint64_t info)
{
    uint32_t type = info & EVENT_TYPE;
    bool is_exception = type == EVENT_EXCEPTION;
    if ((is_exception || type == EVENT_SOFT_INT) && keep_software(s, info))
        return;
    if (type == EVENT_SOFT_INT || (is_exception && is_by_instruction(s)))
        return;
    if (is_exception && (info & EVENT_VECTOR) > 31) /* QEMU's words for a virtual interrupt */
        info &= ~(uint64_t)EVENT_TYPE;
    if (type == EVENT_NMI) { /* its delivery starts over, so NMIs are not blocked yet */
        s->nmi_blocked = false;
        vmcb_intercept(s->vmcb, INTERCEPT_MISC1, MISC1_IRET, false);
    }
    s->v.event = (struct Event){ .info = info & EVENT_AGAIN, .error = info >> EVENT_ERROR_SHIFT };
    vcpu_attn(&s->v, ATTN_EVENT);
}

/* ---- Before an entry ---- */

void svm_exit_at_once(struct Vcpu *v)
{
    (void)v;
    lapic_send_ipi(lapic_id(), T_IPI_FLUSH);
}

static inline bool is_open(const struct Vmcb *b)
{
    return (b->rflags & FL_IF) && !(b->interrupt_shadow & SHADOW_ON);
}

bool svm_interrupts_open(const struct Vcpu *v)
{
    return is_open(svm_vmcb(v));
}

void svm_retry_soon(struct SvmVcpu *s, uint32_t attn)
{
    uint64_t soon = read_tsc() + SOON_TICKS;
    s->retry |= attn;
    s->untidy = true;
    if (soon >= s->v.look_at)
        return;
    s->v.look_at = soon;
    sched_timer_by(soon);
}

static void wait_for_shadow(struct SvmVcpu *s, uint32_t attn)
{
    s->shadow_kept = true;
    s->shadow_rip = s->vmcb->rip;
    svm_retry_soon(s, attn);
}

static void set_window(struct SvmVcpu *s, bool on)
{
    struct Vmcb *b = s->vmcb;
    if (s->window == on)
        return;
    s->window = on;
    b->virtual_intr = on ? b->virtual_intr | VINTR_WINDOW : b->virtual_intr & ~VINTR_WINDOW;
    vmcb_intercept(b, INTERCEPT_MISC1, MISC1_VINTR, on);
}

/* An interrupt has to wait. Should the guest exit for something else when its window opens, Bochs
 * forgets the window at the next entry: then the interrupt is tried again, at the next look around.
 */
static void __attribute__((noinline)) open_window(struct SvmVcpu *s)
{
    bool shadow = s->vmcb->interrupt_shadow & SHADOW_ON;
    if (shadow && (s->vmcb->rflags & FL_IF)) {
        set_window(s, false);
        wait_for_shadow(s, ATTN_IRQ);
        return;
    }
    set_window(s, true);
    s->retry |= ATTN_IRQ;
    s->untidy = true;
}

/* The virtual APIC's state, or the guest's readiness for it, has changed. One event can enter at a
 * time, and `busy` says that there is one. */
static inline void take_interrupt(struct SvmVcpu *s, bool busy)
{
    struct Vcpu *v = &s->v;
    int vector = debug_steps(v) ? -1 : vapic_deliverable(&v->vapic);
    if (vector >= 0 && !busy && is_open(s->vmcb)) {
        vapic_ack(&v->vapic, vector);
        s->vmcb->event_inject = EVENT_VALID | EVENT_EXTINT | vector;
        v->halted = false;
        vector = vapic_quiet(&v->vapic) ? -1 : vapic_deliverable(&v->vapic);
    }
    if (vector >= 0)
        open_window(s);
    else
        set_window(s, false);
}

/* The blocking ends when the IRET is done, not at its exit, which comes before. If another NMI
 * waits, it has to come right then: RFLAGS.TF ends the step, and no exception of the IRET's own may
 * show TF. A debugger has its own use of that, and an NMI comes a little later. */
void svm_nmi_iret(struct SvmVcpu *s)
{
    struct Vcpu *v = &s->v;
    s->nmi_blocked = false;
    vmcb_intercept(s->vmcb, INTERCEPT_MISC1, MISC1_IRET, false);
    if (v->nmi && v->debug)
        svm_retry_soon(s, ATTN_NMI);
    if (!v->nmi || v->debug)
        return;
    s->iret_step = true;
    s->iret_tf = s->vmcb->rflags & FL_TF;
    s->vmcb->rflags |= FL_TF;
    svm_set_exceptions(v, UINT32_MAX);
}

bool svm_end_iret(struct SvmVcpu *s)
{
    struct Vmcb *b = s->vmcb;
    bool done = b->exit_code == SVM_EXIT_EXCP + T_DEBUG;
    s->iret_step = false;
    svm_set_exceptions(&s->v, 0);
    vcpu_attn(&s->v, ATTN_NMI);
    if (!done && !s->iret_tf)
        b->rflags &= ~(uint64_t)FL_TF;
    if (done && !s->iret_tf)
        b->dr6 &= ~DR6_BS;
    return done && !s->iret_tf;
}

/* An NMI waits: it becomes the event to inject, unless there is one or the guest blocks NMIs, whose
 * IRET exits then. In a debugger's step it waits, and the step's end asks again. */
static void take_nmi(struct SvmVcpu *s)
{
    struct Vcpu *v = &s->v;
    if (!v->nmi || debug_steps(v) || s->nmi_blocked || s->iret_step)
        return;
    bool shadow = s->vmcb->interrupt_shadow & SHADOW_ON;
    if (shadow || (v->event.info & EVENT_VALID)) {
        svm_retry_soon(s, ATTN_NMI);
        return;
    }
    v->event = (struct Event){ .info = EVENT_VALID | EVENT_NMI | T_NMI };
    v->nmi = false;
}

/* INT n, INT3 or INT1 in the place of the guest. The CPU pushes RIP as it is. */
static uint32_t inject_software(struct SvmVcpu *s, const struct Event *ev)
{
    struct Vmcb *b = s->vmcb;
    uint64_t rip = b->rip + ev->length;
    bool is_int1 = (ev->info & EVENT_TYPE) == EVENT_PRIV_EXC;
    b->rip = svm_in_64bit(b) ? rip : (uint32_t)rip;
    b->next_rip = b->rip;
    s->soft = *ev;
    s->untidy = true;
    look_around_soon(&s->v); /* which forgets it, after the next exit */
    return (ev->info & ~EVENT_TYPE) | (is_int1 ? EVENT_EXCEPTION : EVENT_SOFT_INT);
}

/* What is neither an exception nor an interrupt. */
static uint32_t __attribute__((noinline))
enter_with_special(struct SvmVcpu *s, const struct Event *ev)
{
    if (is_software(ev->info))
        return inject_software(s, ev);
    s->nmi_blocked = true;
    vmcb_intercept(s->vmcb, INTERCEPT_MISC1, MISC1_IRET, true);
    return ev->info & EVENT_AGAIN;
}

static void enter_with_event(struct SvmVcpu *s)
{
    struct Event *ev = &s->v.event;
    struct Vmcb *b = s->vmcb;
    uint64_t info = ev->info & EVENT_AGAIN;
    uint32_t type = info & EVENT_TYPE;
    if (type != EVENT_EXCEPTION && type != EVENT_EXTINT)
        info = enter_with_special(s, ev);
    if (info & EVENT_ERROR_VALID)
        info |= (uint64_t)ev->error << EVENT_ERROR_SHIFT;
    if ((info & EVENT_VECTOR) == T_PGFLT)
        b->cr2 = rcr2(); /* whoever has raised it has put its address there */
    b->event_inject = info;
    b->interrupt_shadow = 0;
    ev->info = 0;
    s->v.halted = false;
}

/* Let in what waits. It is on the way of each event, so it costs no call. */
ALWAYS_INLINE void enter_events(struct SvmVcpu *s, uint32_t attn)
{
    bool busy = s->v.event.info & EVENT_VALID;
    if (busy)
        enter_with_event(s);
    if (attn & ATTN_IRQ)
        take_interrupt(s, busy);
}

/* The single-step trap of an instruction that was executed here. false: leave the guest. */
static bool __attribute__((noinline)) deliver_trap(struct SvmVcpu *s)
{
    struct Vcpu *v = &s->v;
    const struct VcpuException x = { .vector = T_DEBUG,
                                     .info = EVENT_VALID | EVENT_EXCEPTION | T_DEBUG,
                                     .address = DR6_BS };
    if (v->debug)
        return debug_exception(v, &x) == DO_AGAIN;
    vcpu_debug_trap(v, DR6_BS);
    return true;
}

/* Deliver the trap, and add to *attn what that asks for. false: leave the guest. */
static bool attend_trap(struct SvmVcpu *s, uint32_t *attn)
{
    struct Vcpu *v = &s->v;
    bool enter = deliver_trap(s);
    *attn &= ~ATTN_TRAP;
    if (enter)
        *attn |= __atomic_exchange_n(&v->attn, 0, __ATOMIC_RELAXED);
    else
        vcpu_attn(v, *attn);
    return enter;
}

/* What the debugger asks for, with CR2 where it looks for it. */
static bool attend_debug(struct SvmVcpu *s)
{
    bool enter = debug_attend(&s->v);
    s->vmcb->cr2 = rcr2();
    svm_note_special(s);
    return enter;
}

/* What is asked for seldom. false: leave the guest. */
static bool __attribute__((noinline)) attend_rare(struct SvmVcpu *s, uint32_t *attn)
{
    struct Vcpu *v = &s->v;
    if (*attn & ATTN_SKIP)
        svm_skip_instruction(v, 0);
    if (*attn & ATTN_ANSWER)
        guest_take_answer(v);
    *attn |= __atomic_fetch_and(&v->attn, ~ATTN_TRAP, __ATOMIC_RELAXED) & ATTN_TRAP;
    if ((*attn & ATTN_TRAP) && !attend_trap(s, attn))
        return false;
    if (*attn & ATTN_DEBUG) {
        bool enter = attend_debug(s);
        *attn = (*attn & ~(ATTN_SKIP | ATTN_ANSWER | ATTN_DEBUG)) |
                __atomic_fetch_and(&v->attn, ATTN_DEBUG, __ATOMIC_RELAXED);
        if (!enter) {
            vcpu_attn(v, *attn);
            return false;
        }
    }
    if (*attn & ATTN_NMI)
        take_nmi(s);
    if (v->doomed)
        return false;
    /* Comes after all that may have waited for a lock, and meanwhile told another CPU, which has
     * changed the tables, that this one uses no old translation any more. */
    *attn |= __atomic_fetch_and(&v->attn, ~ATTN_FLUSH, __ATOMIC_RELAXED) & ATTN_FLUSH;
    if (*attn & ATTN_FLUSH)
        svm_flush(s);
    if (*attn & ATTN_CHECK) {
        enter_events(s, *attn);
        *attn = 0;
        check_entry(v); /* after all that changes the VMCB */
    }
    return true;
}

/* The end of svm_attend where an interrupt must not be left pending in the CPU. */
static bool __attribute__((noinline, cold)) enter_once(struct SvmVcpu *s)
{
    const uint64_t interrupt = EVENT_VALID | EVENT_EXTINT;
    if (s->v.doomed)
        return false;
    if ((s->vmcb->event_inject & (EVENT_VALID | EVENT_TYPE)) == interrupt)
        svm_exit_at_once(&s->v);
    return entry_is_prepared(&s->v);
}

bool svm_attend(struct SvmVcpu *s)
{
    struct Vcpu *v = &s->v;
    uint32_t attn = __atomic_exchange_n(&v->attn, 0, __ATOMIC_RELAXED);
    if ((attn & ~(ATTN_EVENT | ATTN_IRQ)) && !attend_rare(s, &attn))
        return false;
    enter_events(s, attn);
    if (__builtin_expect(svm_caps.repeats_interrupts, 0))
        return enter_once(s);
    return !v->doomed && entry_is_prepared(v);
}
