/*
 * A guest's stops for its monitor, and the way back. What a stop is about stands in a page that the
 * kernel shares with the monitor (struct GuestExit), and so does the answer. The monitor may write
 * there at any time, so the kernel reads each field of an answer once, and believes nothing else in
 * that page: what it wrote there it keeps in Vcpu.exit.
 *
 * There is a short way. If the monitor waits in sys_guest_run, it gets the CPU out of the middle of
 * the guest's exit, with its call completed (hand_over). The vCPU's control block stays where it
 * is, so that the answer is applied to it at once.
 */
#include <kern/sched.h>
#include <kern/sysmem.h>
#include <kern/cpu.h>
#include <kern/waiters.h>
#include <inc/error.h>
#include <inc/string.h>
#include <kern/pmap.h>
#include <vmm/backend.h>
#include <vmm/backtrace.h>
#include <vmm/debug/debug.h>
#include <vmm/guest.h>
#include <vmm/serial.h>
#include <vmm/stop.h>
#include <vmm/vmlife.h>
#include <vmm/gwalk.h>
#include <vmm/string_io.h>
#include <kern/dev/clock.h>
#include <kern/dev/console.h>
#include <kern/dev/serport.h>

/* ---- Stopping ---- */

/* Keep what the monitor may want to know. */
static void note_stop(struct Vcpu *v, enum GuestEvent event)
{
    struct GuestExit *x = &v->exit;
    const struct Trapframe *tf = &v->env->env_tf;
    x->event = event;
    if (event == GUEST_EV_IO) {
        x->regs.rax = v->string_io.size != 0 ? v->string_io.value : tf->tf_rax;
        return;
    }
    _Static_assert(offsetof(struct GuestRegs, rip) == offsetof(struct Trapframe, tf_trapno),
                   "general registers have the same order");
    memcpy(&x->regs, tf, offsetof(struct GuestRegs, rip));
    x->reason = v->clock_reason;
    x->regs.rip = backend->get(v, VREG_RIP);
    x->regs.rsp = backend->get(v, VREG_RSP);
    x->regs.rflags = backend->get(v, VREG_RFLAGS);
    backend->paging_mode(v, &v->paging);
}

/* Tell the monitor: a guest that has ended stays until its monitor destroys it, so that its
 * statistics can be read. */
static void deliver_stop(struct Vcpu *v)
{
    const struct GuestExit *from = &v->exit;
    struct GuestExit *to = v->shared;
    v->state = GUEST_DELIVERED;
    /* The whole of it but for the monitor's own counter. I/O, which is frequent, has only what it
     * needs written: the monitor hears from its system call that this is I/O. */
    if (from->event != GUEST_EV_IO) {
        uint64_t unclaimed = to->unclaimed, last_unclaimed = to->last_unclaimed;
        *to = *from;
        to->unclaimed = unclaimed;
        to->last_unclaimed = last_unclaimed;
        return;
    }
    to->io = from->io;
    to->skip = 0;
    to->regs.rax = from->regs.rax;
}

/* Give the CPU from the guest, whose exit this is, to its monitor, which waits for it and is on no
 * list any more. Both are locked. */
static void __attribute__((noreturn)) hand_over(struct Vcpu *v, struct Env *monitor)
{
    /* The handler's caller is never returned to: what it would do after an exit is done here. */
    backend->hand_over(v);
    charge_vmm_ticks(v, v->stop_tsc);
    deliver_stop(v);
    sched_finish(monitor, v->exit.event);
    sched_block_env(v->env, WAIT_MONITOR, 0);
    sched_handoff(monitor);
}

/* May this stop take the short way? Not if something is to be done after the exit's handler: a
 * traced exit is noted, and of a guest that ends the call chain is kept. */
static bool is_short(const struct Vcpu *v, enum GuestEvent event)
{
    return !v->traced && (event == GUEST_EV_IO || event == GUEST_EV_VMCALL);
}

bool guest_stop(struct Vcpu *v, enum GuestEvent event)
{
    if (__builtin_expect(v->doomed, 0))
        return false;
    note_stop(v, event);
    v->stop_tsc = read_tsc();
    struct Env *monitor = guest_lock_both(v);
    if (is_short(v, event) && monitor_waits(v, monitor)) {
        if (sched_unblock(monitor))
            hand_over(v, monitor);
    }
    v->state = GUEST_EVENT;
    v->doomed = event == GUEST_EV_OFF;
    env_unlock(monitor);
    env_unlock(v->env);
    return false; /* guest_block_if_stopped gives the monitor the CPU, or it comes by itself */
}

/* The instruction at RIP, for the monitor. */
static void note_instruction(struct Vcpu *v)
{
    struct GuestInsn *insn = &v->exit.insn;
    struct PagingMode m;
    struct Segment cs = backend->get_segment(v, VSEG_CS), ss = backend->get_segment(v, VSEG_SS);
    bool wide = backend->in_64bit(v);
    uint64_t va = backend->get(v, VREG_RIP) + (wide ? 0 : cs.base);
    backend->paging_mode(v, &m);
    insn->bits = wide ? 64 : cs.attributes & VSEG_DB ? 32 : 16;
    insn->cpl = VSEG_DPL(ss.attributes);
    insn->stack_bits = wide ? 64 : ss.attributes & VSEG_DB ? 32 : 16;
    for (int i = 0; i < GUEST_NSEGMENTS; i++) {
        struct Segment s = backend->get_segment(v, i);
        insn->selector[i] = s.selector;
        insn->segment_base[i] = s.base;
    }
    insn->nbytes =
        guest_fetch_code(v, &m, wide ? va : (uint32_t)va, wide, insn->bytes, sizeof(insn->bytes));
}

bool guest_stop_mmio(struct Vcpu *v, gpa_t gpa, uint32_t access)
{
    v->exit.gpa = gpa;
    v->exit.access = access;
    v->exit.apic_page = v->vapic.page;
    note_instruction(v);
    return guest_stop(v, GUEST_EV_MMIO);
}

void guest_block_if_stopped(struct Vcpu *v)
{
    struct Env *monitor = guest_lock_both(v);
    if (v->state != GUEST_RUNS && v->env->env_status == ENV_RUNNING)
        sched_block(WAIT_MONITOR, 0);
    if (v->state == GUEST_EVENT && monitor_waits(v, monitor) && sched_unblock(monitor)) {
        if (v->env->env_status == ENV_NOT_RUNNABLE)
            sched_handoff(monitor);
        sched_ready(monitor);
    }
    env_unlock(monitor);
    env_unlock(v->env);
}

#define OUTPUT_MSEC 4 /* that output may wait in the ring */

/* A monitor that waits is woken in a while, whatever the guest does; one that does not takes the
 * output with its next event. */
void guest_has_output(struct Vcpu *v)
{
    struct Env *monitor = guest_lock_both(v);
    v->serial_waits = true;
    if (monitor_waits(v, monitor) && monitor->env_wake_tsc == 0) {
        sched_timer_insert(monitor, read_tsc() + OUTPUT_MSEC * tsc_khz);
        look_around_soon(v);
    }
    env_unlock(monitor);
    env_unlock(v->env);
}

/* ---- Answers ---- */

/* The result of IN replaces as much of RAX as the operand size says. */
static uint64_t io_result(uint64_t rax, unsigned size, uint64_t answer)
{
    switch (size) {
    case 1:
        return (rax & ~0xfful) | (uint8_t)answer;
    case 2:
        return (rax & ~0xfffful) | (uint16_t)answer;
    }
    return (uint32_t)answer;
}

/* What an access to memory may have changed: general registers now, the rest on the guest's CPU. */
static void take_mmio_answer(struct Vcpu *v, const volatile struct GuestExit *x)
{
    struct GuestRegs *regs = &v->exit.regs;
    *regs = x->regs;
    memcpy(&v->env->env_tf, regs, offsetof(struct GuestRegs, rip));
    v->exit.skip = x->skip;
    v->exit.fault = x->fault;
    v->exit.fault_error = x->fault_error;
    v->exit.fault_address = x->fault_address;
    vcpu_attn(v, ATTN_ANSWER);
}

/* Exceptions that the monitor's answer may be. */
#define ANSWER_FAULTS \
    (1u << T_ILLOP | 1u << T_STACK | 1u << T_GPFLT | 1u << T_PGFLT | 1u << T_ALIGN)
/* Flags that instructions with a memory operand change, but for POPF, which has none. */
#define ANSWER_FLAGS (FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_OF | FL_DF)

void guest_take_answer(struct Vcpu *v)
{
    const struct GuestExit *x = &v->exit;
    if (x->fault < 32 && (ANSWER_FAULTS >> x->fault & 1)) {
        if (x->fault == T_PGFLT)
            lcr2(x->fault_address);
        backend->inject_fault(v, x->fault, x->fault_error);
        return;
    }
    uint64_t flags = backend->get(v, VREG_RFLAGS);
    if (is_canonical(x->regs.rip))
        backend->set(v, VREG_RIP, x->regs.rip);
    backend->set(v, VREG_RSP, x->regs.rsp);
    backend->set(v, VREG_RFLAGS,
                 (flags & ~(uint64_t)ANSWER_FLAGS) | (x->regs.rflags & ANSWER_FLAGS));
    if (x->skip > 0)
        backend->skip(v, MIN(x->skip, (uint8_t)GUEST_INSN_MAX));
}

/* Take over what the monitor has answered, from the page that it may be changing. */
static void take_answer(struct Vcpu *v, const volatile struct GuestExit *x)
{
    struct Trapframe *tf = &v->env->env_tf;
    uint64_t rax = x->regs.rax;
    v->stats.monitor_ticks[v->clock_reason] += read_tsc() - v->stop_tsc;
    if (v->string_io.size != 0) {
        string_io_answer(v, rax); /* may end the guest */
        return;
    }
    if (v->exit.event == GUEST_EV_MMIO) {
        take_mmio_answer(v, x);
        return;
    }
    if (v->exit.event != GUEST_EV_IO) {
        tf->tf_rax = rax;
        tf->tf_rbx = x->regs.rbx;
        tf->tf_rcx = x->regs.rcx;
        tf->tf_rdx = x->regs.rdx;
        tf->tf_rsi = x->regs.rsi;
    } else if (v->exit.io.in) {
        tf->tf_rax = io_result(tf->tf_rax, v->exit.io.size, rax);
    }
    if (x->skip && !backend->skip_here(v))
        vcpu_attn(v, ATTN_SKIP);
}

/* Let the guest go on. true: it could run here right away, and the caller has to see to that. It is
 * locked. */
static bool let_guest_run(struct Vcpu *v)
{
    struct Env *e = v->env;
    if (v->doomed)
        return false;
    v->state = GUEST_RUNS;
    if (e->env_wait == WAIT_NONE || !sched_unblock(e))
        return false;
    if (!(e->env_marks & ENV_MARK_PAUSED))
        return true;
    sched_ready(e); /* which pauses it */
    return false;
}

/* ---- The monitor's system calls ---- */

int64_t sys_guest_share(envid_t guest, uintptr_t va)
{
    struct Vcpu *v = guest_open(guest);
    struct PageInfo *pp;
    if (!v)
        return -E_BAD_ENV;
    int r = v->shared ? -E_BUSY : env_page_take(curenv, va, PTE_P | PTE_U | PTE_W, &pp);
    if (r == 0) {
        struct GuestShared *page = page2kva(pp);
        v->shared = &page->exit;
        v->serial = &page->serial;
    }
    guest_close(v);
    return r;
}

/* The monitor was to hear of output: is there still some? A byte that comes later is told anew. */
static bool __attribute__((noinline)) take_notice(struct Vcpu *v)
{
    __atomic_store_n(&v->serial_waits, false, __ATOMIC_SEQ_CST);
    return serial_has_output(v);
}

/* What is there for the monitor; GUEST_EV_NONE: nothing. It and the guest are locked. */
static inline enum GuestEvent next_event(struct Vcpu *v, struct Env *monitor, bool console)
{
    if (monitor->env_senders.head)
        return GUEST_EV_MESSAGE;
    if (v->state == GUEST_EVENT)
        return v->exit.event;
    if (v->serial_waits && take_notice(v))
        return GUEST_EV_OUTPUT;
    if (serport_has_input(monitor->env_id))
        return GUEST_EV_SERIAL;
    /* Last, since with no input the monitor is among those who wait for it now. */
    return console && !sched_wait_console(monitor) ? GUEST_EV_CONSOLE : GUEST_EV_NONE;
}

/* Nothing is there: wait, and leave the CPU to the guest (if it is ready to go on), or to anybody.
 * After the wake-up the call is executed again, unless sched_finish has completed it; the answer
 * has been applied, which the state says. Both are unlocked. */
ALWAYS_INLINE void __attribute__((noreturn))
await_event(struct Env *monitor, struct Env *guest, bool console, bool is_ready)
{
    WRITE_ONCE(monitor->env_wait_id, guest->env_id);
    monitor->env_wait_arg = console;
    sched_restart_env(monitor);
    sched_block_env(monitor, WAIT_GUEST, 0);
    if (is_ready)
        sched_handoff(guest);
    env_unlock(guest);
    env_unlock(monitor);
    sched_yield();
}

/* sys_guest_run of the guest v; it and its monitor are locked. Does not return if there is nothing
 * for the monitor yet. */
ALWAYS_INLINE int64_t answer_and_wait(struct Env *monitor, struct Vcpu *v, bool console)
{
    bool owes = v->state == GUEST_DELIVERED;
    if (!v->shared)
        return -E_INVAL;
    if (owes && v->doomed)
        return -E_BAD_ENV;
    bool answers = owes && !debug_holds(v);
    if (answers)
        take_answer(v, v->shared);
    bool is_ready = answers && let_guest_run(v);
    enum GuestEvent event = next_event(v, monitor, console);
    if (event == GUEST_EV_NONE)
        await_event(monitor, v->env, console, is_ready);
    if (is_ready)
        sched_ready(v->env);
    if (event != GUEST_EV_CONSOLE && event != GUEST_EV_MESSAGE && event != GUEST_EV_SERIAL &&
        event != GUEST_EV_OUTPUT)
        deliver_stop(v);
    return event;
}

/* A guest gives up its struct Vcpu with its env locked (guest_free), so it stays meanwhile. */
int64_t sys_guest_run(envid_t guest, bool console)
{
    struct Env *monitor = curenv, *e = env_slot(guest);
    int64_t r = -E_BAD_ENV;
    if (e == monitor)
        return r;
    env_lock(monitor);
    env_lock_also(monitor, e);
    if (is_guest_env(e, guest) && e->env_parent_id == monitor->env_id)
        r = answer_and_wait(monitor, e->env_guest, console);
    env_unlock(e);
    env_unlock(monitor);
    return r;
}

int64_t sys_guest_walk(envid_t guest, uint64_t va, uint32_t access)
{
    struct Vcpu *v = guest_open(guest);
    gpa_t gpa;
    if (!v)
        return -E_BAD_ENV;
    if (v->state != GUEST_DELIVERED || v->exit.event != GUEST_EV_MMIO || !v->shared) {
        guest_close(v);
        return -E_AGAIN;
    }
    uint32_t fec = (access & GUEST_WRITE ? FEC_WR : 0) | (access & GUEST_FETCH ? FEC_ID : 0) |
                   (access & GUEST_USER ? FEC_U : 0);
    enum WalkResult r = guest_walk(v, &v->paging, va, fec, &gpa);
    if (r == WALK_OK)
        r = guest_mark_access(v, &v->paging, va, fec);
    if (r != WALK_OK) {
        v->shared->fault_error = guest_fault_error(r, fec);
        v->shared->fault_address = va;
    }
    guest_close(v);
    return r == WALK_OK ? (int64_t)gpa : -E_FAULT;
}
