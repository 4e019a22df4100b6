/*
 * A guest's stops for its monitor, and the way back. What a stop is about stands in a page that the
 * kernel shares with the monitor (struct GuestExit), and so does the answer. The monitor may write
 * there at any time, so the kernel reads each field of an answer once, and believes nothing else in
 * that page: what it wrote there it keeps in Guest.exit.
 *
 * There is a short way. If the monitor waits in sys_guest_run, it gets the CPU out of the middle of
 * the guest's exit, with its call completed (hand_over). The guest's VMCS stays current, so that
 * the answer is applied to it at once.
 */
#include <vmm/debug/debug.h>
#include <vmm/internal.h>
#include <kern/dev/console.h>
#include <kern/dev/serport.h>
#include <kern/waiters.h>
#include <vmm/syscalls.h>

/* ---- Stopping ---- */

/* Keep what the monitor may want to know. */
static void note_stop(struct Guest *g, enum GuestEvent event)
{
    struct GuestExit *x = &g->exit;
    const struct Trapframe *tf = &g->env->env_tf;
    x->event = event;
    x->exit_reason = vmread_known(VMCS_EXIT_REASON) & EXIT_REASON_BASIC;
    if (event == GUEST_EV_IO) {
        x->regs.rax = g->string_io.size != 0 ? g->string_io.value : tf->tf_rax;
        return;
    }
    _Static_assert(offsetof(struct GuestRegs, rip) == offsetof(struct Trapframe, tf_trapno),
                   "general registers have the same order");
    memcpy(&x->regs, tf, offsetof(struct GuestRegs, rip));
    x->regs.rip = vmread(VMCS_GUEST_RIP);
    x->regs.rsp = vmread(VMCS_GUEST_RSP);
    x->regs.rflags = vmread(VMCS_GUEST_RFLAGS);
}

/* Tell the monitor: a guest that has ended stays until its monitor destroys it, so that its
 * statistics can be read. */
static void deliver_stop(struct Guest *g)
{
    const struct GuestExit *from = &g->exit;
    struct GuestExit *to = g->shared;
    g->state = GUEST_DELIVERED;
    if (from->event != GUEST_EV_IO) {
        *to = *from;
        return;
    }
    to->io = from->io;
    to->skip = 0;
    to->regs.rax = from->regs.rax;
}

/* Give the CPU from the guest, whose exit this is, to its monitor, which waits for it and is on no
 * list any more. Both are locked. */
static void __attribute__((noreturn)) hand_over(struct Guest *g, struct Env *monitor)
{
    g->launched = true;
    vcpu_leave(g);
    charge_vmm_ticks(g, g->stop_tsc);
    deliver_stop(g);
    sched_finish(monitor, g->exit.event);
    sched_block_env(g->env, WAIT_MONITOR, 0);
    sched_handoff(monitor);
}

/* May this stop take the short way? Not if something is to be done behind the exit's handler: a
 * traced exit is noted, and of a guest that ends the call chain is kept. */
static bool is_short(const struct Guest *g, enum GuestEvent event)
{
    return g->first_rare_reason != 0 && (event == GUEST_EV_IO || event == GUEST_EV_VMCALL);
}

bool guest_stop(struct Guest *g, enum GuestEvent event)
{
    if (g->doomed)
        return leave(g);
    note_stop(g, event);
    g->stop_tsc = read_tsc();
    struct Env *monitor = guest_lock_both(g);
    if (is_short(g, event) && monitor_waits(g, monitor)) {
        if (sched_unblock(monitor))
            hand_over(g, monitor);
    }
    g->state = GUEST_EVENT;
    g->doomed = event == GUEST_EV_OFF;
    env_unlock(monitor);
    env_unlock(g->env);
    return leave(g); /* block_if_stopped gives the monitor the CPU, or it comes by itself */
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

/* The stopped guest goes on behind its instruction. */
static void skip_stopped(struct Guest *g)
{
    if (vmcs_is_current(g))
        skip_instruction();
    else
        guest_attn(g, ATTN_SKIP);
}

/* Take over what the monitor has answered, from the page that it may be changing. */
static void take_answer(struct Guest *g, const volatile struct GuestExit *x)
{
    struct Trapframe *tf = &g->env->env_tf;
    uint64_t rax = x->regs.rax;
    g->stats.monitor_ticks[g->exit.exit_reason] += read_tsc() - g->stop_tsc;
    if (g->string_io.size != 0) {
        answer_string_io(g, rax); /* may end the guest */
        return;
    }
    if (g->exit.event != GUEST_EV_IO) {
        tf->tf_rax = rax;
        tf->tf_rbx = x->regs.rbx;
        tf->tf_rcx = x->regs.rcx;
        tf->tf_rdx = x->regs.rdx;
        tf->tf_rsi = x->regs.rsi;
    } else if (g->exit.io.in) {
        tf->tf_rax = io_result(tf->tf_rax, g->exit.io.size, rax);
    }
    if (x->skip && g->exit.event != GUEST_EV_MMIO) /* EPT violations report no length */
        skip_stopped(g);
}

/* Let the guest go on. true: it could run here right away, and the caller has to see to that. It is
 * locked. */
static bool release(struct Guest *g)
{
    struct Env *e = g->env;
    if (g->doomed)
        return false;
    g->state = GUEST_RUNS;
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
    struct Guest *g = guest_open(guest);
    struct PageInfo *pp;
    if (g == NULL)
        return -E_BAD_ENV;
    int r = g->shared != NULL ? -E_BUSY : env_page_take(curenv, va, PTE_P | PTE_U | PTE_W, &pp);
    if (r == 0)
        g->shared = page2kva(pp);
    guest_close(g);
    return r;
}

/* What is there for the monitor; GUEST_EV_NONE: nothing. It and the guest are locked. */
static inline enum GuestEvent next_event(const struct Guest *g, struct Env *monitor, bool console)
{
    if (monitor->env_senders.head != NULL)
        return GUEST_EV_MESSAGE;
    if (g->state == GUEST_EVENT)
        return g->exit.event;
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

/* sys_guest_run of the guest g; it and its monitor are locked. Does not return if there is nothing
 * for the monitor yet. */
ALWAYS_INLINE int64_t answer_and_wait(struct Env *monitor, struct Guest *g, bool console)
{
    bool owes = g->state == GUEST_DELIVERED;
    if (g->shared == NULL)
        return -E_INVAL;
    if (owes && g->doomed)
        return -E_BAD_ENV;
    bool answers = owes && !debug_holds(g);
    if (answers)
        take_answer(g, g->shared);
    bool is_ready = answers && release(g);
    enum GuestEvent event = next_event(g, monitor, console);
    if (event == GUEST_EV_NONE)
        await_event(monitor, g->env, console, is_ready);
    if (is_ready)
        sched_ready(g->env);
    if (event != GUEST_EV_CONSOLE && event != GUEST_EV_MESSAGE && event != GUEST_EV_SERIAL)
        deliver_stop(g);
    return event;
}

/* A guest gives up its struct Guest with its env locked (guest_free), so it stays meanwhile. */
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
