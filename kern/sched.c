/*
 * The scheduler: a round-robin run queue, sleeping with deadlines, and the idle loop. Finding the
 * next env takes the head of a list. There is no periodic tick: the local APIC timer is armed only
 * while another env wants the CPU or one sleeps with a deadline.
 */
#include <inc/assert.h>
#include <inc/error.h>
#include <inc/string.h>
#include <inc/x86.h>
#include <kern/console.h>
#include <kern/cpu.h>
#include <kern/env.h>
#include <kern/envlist.h>
#include <kern/gdbstub.h>
#include <kern/lapic.h>
#include <kern/platform.h>
#include <kern/pmap.h>
#include <kern/syscall.h>
#include <kern/timerq.h>
#include <kern/trap.h>
#include <vmm/guest.h>

#define SLICE_MS 30
#define NEVER    (~0ul)
#define NIRQ     16

/* Under env_lock: */
static struct EnvList run_queue;
static struct EnvList console_waiters;
static struct Env *irq_waiter[NIRQ];
static bool irq_pending[NIRQ];

static uint64_t slice_ticks; /* a time slice */

/* ---- Deadlines ---- */

void sched_init(void)
{
    slice_ticks = SLICE_MS * tsc_khz;
}

/* Deadlines belong to the CPU where the env blocked, which is the one that wakes it. */
void sched_timer_insert(struct Env *e, uint64_t deadline)
{
    struct Cpu *c = this_cpu();

    e->env_wake_tsc = deadline;
    e->env_timer_cpu = c->cpu_num;
    timerq_insert(&c->cpu_timers, e);
    c->cpu_timer_check = 1;
}

void sched_timer_remove(struct Env *e)
{
    timerq_remove(&cpus[e->env_timer_cpu].cpu_timers, e);
    e->env_wake_tsc = 0;
}

static inline void timers_expire(struct Cpu *c, uint64_t now)
{
    while (c->cpu_timers && c->cpu_timers->env_wake_tsc <= now)
        sched_wake(c->cpu_timers);
}

/* A time slice starts when somebody else begins to wait for the CPU; with several CPUs right away,
 * since the one that makes an env runnable does not look at the others. */
uint64_t sched_deadline(void)
{
    struct Cpu *c = this_cpu();
    const struct Env *first = *(struct Env *volatile *)&c->cpu_timers;
    uint64_t deadline = first ? first->env_wake_tsc : NEVER;

    if (__builtin_expect(gdb_on, 0))
        deadline = MIN(deadline, gdb_look_deadline());
    if (!c->cpu_env || (!run_queue.head && ncpu == 1))
        return deadline;
    if (c->cpu_slice_end == 0)
        c->cpu_slice_end = read_tsc() + slice_ticks;
    return MIN(deadline, c->cpu_slice_end);
}

/* An armed timer that is early enough stays: it finds out what to do when it comes. */
void sched_arm_timer(void)
{
    struct Cpu *c = this_cpu();
    uint64_t deadline;

    c->cpu_timer_check = 0;
    if (!run_queue.head && !c->cpu_timers && ncpu == 1)
        return;
    deadline = sched_deadline();
    if (c->cpu_timer_deadline <= deadline)
        return;
    c->cpu_timer_deadline = deadline;
    lapic_timer_set(deadline);
}

/* Somebody waits for the CPU that now gets a new env: its time slice starts. */
static inline void slice_start(struct Cpu *c, uint64_t now)
{
    c->cpu_slice_end = 0;
    c->cpu_slice_over = false;
    if (!run_queue.head && ncpu == 1)
        return;
    c->cpu_slice_end = now + slice_ticks;
    /* An armed timer that is early enough stays, here as in sched_arm_timer. */
    if (c->cpu_timer_deadline > c->cpu_slice_end)
        c->cpu_timer_check = 1;
}

/* Charge the current env for the CPU time since it was last charged. */
static inline void account(struct Cpu *c, struct Env *e, uint64_t now)
{
    uint64_t spent = now - c->cpu_env_since;

    c->cpu_env_since = now;
    e->env_ticks += spent;
}

bool sched_timer(void)
{
    struct Cpu *c = this_cpu();
    uint64_t now;
    bool over;

    if (gdb_on)
        gdb_look();
    spin_lock(&env_lock);
    c->cpu_timer_deadline = NEVER;
    c->cpu_timer_check = 1;
    now = read_tsc();
    timers_expire(c, now);
    over = c->cpu_slice_end && now >= c->cpu_slice_end;
    if (over && c->cpu_env) {
        account(c, c->cpu_env, now);
        c->cpu_slice_end = 0; /* if nobody waits, the next one starts */
        c->cpu_slice_over = run_queue.head != NULL;
    }
    over = over && run_queue.head;
    spin_unlock(&env_lock);
    if (over || (run_queue.head && !c->cpu_env))
        return true;
    sched_arm_timer();
    return false;
}

/* ---- Run queue and waiting ---- */

bool sched_others_waiting(void)
{
    return run_queue.head != NULL;
}

/* Somebody who sleeps could run what has just become runnable. */
static void __attribute__((noinline)) kick_idle_cpu(void)
{
    for (uint32_t i = 0; i < ncpu; i++) {
        if (!cpus[i].cpu_idle || &cpus[i] == this_cpu())
            continue;
        cpus[i].cpu_idle = false; /* asked once is enough */
        cpu_kick(&cpus[i]);
        return;
    }
}

ALWAYS_INLINE void queue_up(struct Env *e)
{
    e->env_status = ENV_RUNNABLE;
    envlist_append(&run_queue, e);
    if (ncpu > 1)
        kick_idle_cpu();
}

void sched_ready(struct Env *e)
{
    if (e->env_paused) {
        e->env_status = ENV_NOT_RUNNABLE;
        e->env_wait = WAIT_PAUSE;
        return;
    }
    queue_up(e);
    this_cpu()->cpu_timer_check = 1;
}

void sched_wait_console(struct Env *e)
{
    envlist_append(&console_waiters, e);
}

void sched_wake(struct Env *e)
{
    if (e->env_status == ENV_NOT_RUNNABLE && e->env_wait != WAIT_NONE && sched_unblock(e))
        sched_ready(e);
}

void sched_pause(struct Env *e, bool paused)
{
    e->env_paused = paused;
    if (!paused && e->env_wait == WAIT_PAUSE) {
        sched_wake(e);
    } else if (paused && env_on_cpu(e)) {
        cpu_kick(&cpus[e->env_cpunum]); /* leave() pauses it */
    } else if (paused && e->env_status == ENV_RUNNABLE) {
        sched_remove(e);
        sched_ready(e);
    }
}

void sched_remove(struct Env *e)
{
    envlist_remove(e);
    if (e->env_wake_tsc)
        sched_timer_remove(e);
    for (int i = 0; i < NIRQ; i++)
        if (irq_waiter[i] == e)
            irq_waiter[i] = NULL;
}

void sched_wake_console(void)
{
    spin_lock(&env_lock);
    while (console_waiters.head)
        sched_wake(console_waiters.head);
    spin_unlock(&env_lock);
}

void sched_wake_irq(int irq)
{
    struct Env *e;

    spin_lock(&env_lock);
    e = irq_waiter[irq];
    irq_waiter[irq] = NULL;
    irq_pending[irq] = true;
    /* Otherwise nobody, or one whose deadline came first. */
    if (e && e->env_wait == WAIT_IRQ && e->env_wait_arg == (uintptr_t)irq) {
        irq_pending[irq] = false;
        e->env_tf.tf_rax = 0;
        sched_wake(e);
    }
    spin_unlock(&env_lock);
}

int sched_wait_irq(int irq, uint64_t deadline)
{
    spin_lock(&env_lock);
    if (irq_pending[irq]) {
        irq_pending[irq] = false;
        spin_unlock(&env_lock);
        return 0;
    }
    irq_waiter[irq] = curenv;
    curenv->env_wait_arg = irq;
    curenv->env_tf.tf_rax = -E_AGAIN;
    sched_block(WAIT_IRQ, deadline);
    spin_unlock(&env_lock);
    sched_yield();
}

/* ---- Giving the CPU away: env_lock is held ---- */

/* Go on with e, which has the CPU; env_lock is released. */
ALWAYS_INLINE void __attribute__((noreturn)) resume(struct Cpu *c, struct Env *e)
{
    spin_unlock(&env_lock);
    if (c->cpu_timer_check)
        sched_arm_timer();
    env_pop_tf(&e->env_tf);
}

/* The same with a guest. An address space that this CPU no longer protects must not stay loaded. */
ALWAYS_INLINE void __attribute__((noreturn)) resume_guest(struct Cpu *c, struct Env *e)
{
    if (c->cpu_cr3 != kern_cr3)
        cpu_set_cr3(c, kern_cr3);
    spin_unlock(&env_lock);
    if (c->cpu_timer_check)
        sched_arm_timer();
    vmx_vmrun(e);
    sched_yield();
}

/* The CPU is e's from now on, and so are its FPU registers. */
ALWAYS_INLINE void take_cpu(struct Cpu *c, struct Env *e)
{
    e->env_status = ENV_RUNNING;
    e->env_cpunum = c->cpu_num;
    e->env_runs++;
    c->cpu_env = e;
    asm volatile("fxrstor64 %0" : : "m"(e->env_fpu));
}

int sched_vmx_on(struct Cpu *c)
{
    /* LAB 0 begin: sched_yield */
    return c->cpu_vmx_on ? 0 : vmx_init_vmxon();
    /* LAB 0 end */
}

/* A guest ends if it cannot run on this CPU. */
static void __attribute__((noreturn, noinline)) run_guest(struct Cpu *c, struct Env *e)
{
    if (sched_vmx_on(c) < 0) {
        c->cpu_env = NULL;
        e->env_status = ENV_NOT_RUNNABLE;
        spin_unlock(&env_lock);
        env_destroy(e, EXIT_FAULT);
        sched_yield();
    }
    take_cpu(c, e);
    resume_guest(c, e);
}

/* Run e, which is on no list, on this CPU, whose last env has left it: load its FPU state and its
 * address space, and let its traps save to its env_tf. */
ALWAYS_INLINE void __attribute__((noreturn)) run(struct Cpu *c, struct Env *e)
{
    if (e->env_type == ENV_TYPE_GUEST)
        run_guest(c, e);
    take_cpu(c, e);
    cpu_drop_selectors(c);
    c->cpu_tss.rsp[0] = (uint64_t)(&e->env_tf + 1);
    if (c->cpu_cr3 != e->env_cr3)
        cpu_set_cr3(c, e->env_cr3);
    resume(c, e);
}

/* The current env e leaves the CPU. It stays where it is if it waits, and queues up if it could go
 * on. (cpu_env is the caller's to change.) */
ALWAYS_INLINE void leave(struct Cpu *c, struct Env *e, uint64_t now)
{
    bool queues = e->env_status == ENV_RUNNING;

    account(c, e, now);
    asm volatile("fxsave64 %0" : "=m"(e->env_fpu));
    if (queues)
        queue_up(e);
}

/* Does the scheduler have more to do with e than to let it wait or go on? */
ALWAYS_INLINE bool is_marked(const struct Env *e)
{
    return e->env_paused || e->env_killed || e->env_stop;
}

/* Do what somebody wanted to be done to the current env e when it comes to the scheduler. */
static void __attribute__((noinline, cold)) do_marked(struct Env *e)
{
    bool running = e->env_status == ENV_RUNNING;

    if (e->env_killed) {
        spin_unlock(&env_lock);
        env_destroy(e, e->env_exit); /* does not return */
    }
    if (running && (e->env_stop || e->env_paused))
        e->env_status = ENV_NOT_RUNNABLE;
    if (running && !e->env_stop && e->env_paused)
        e->env_wait = WAIT_PAUSE;
    e->env_stop = false;
}

void sched_handoff(struct Env *next)
{
    struct Cpu *c = this_cpu();
    struct Env *e = c->cpu_env;

    /* Two who hand the CPU to each other share one time slice. If its end came in the kernel,
     * between a guest and its monitor, nobody has given the CPU away yet. */
    if (is_marked(e) || c->cpu_slice_over) {
        sched_ready(next);
        spin_unlock(&env_lock);
        sched_yield();
    }
    leave(c, e, read_tsc());
    run(c, next);
}

/* Nobody else wants the CPU of e. */
static void __attribute__((noreturn, noinline)) stay(struct Cpu *c, struct Env *e)
{
    if (e->env_type == ENV_TYPE_GUEST)
        resume_guest(c, e);
    resume(c, e);
}

/* Nothing to run: sleep until an interrupt makes an env runnable. Returns the time then.
 * An interrupt between the unlocking and HLT waits for STI, so none is missed. */
static uint64_t idle(struct Cpu *c)
{
    c->cpu_env = NULL;
    if (c->cpu_cr3 != kern_cr3)
        cpu_load_cr3(kern_cr3);
    while (!run_queue.head) {
        c->cpu_idle = true;
        spin_unlock(&env_lock);
        sched_arm_timer();
        asm volatile("sti; hlt; cli" : : : "memory");
        cpu_flush_poll();
        spin_lock(&env_lock);
        c->cpu_idle = false;
        timers_expire(c, read_tsc());
    }
    return c->cpu_env_since = read_tsc();
}

/* sched_yield comes here on an empty kernel stack (kern/trapentry.S). */
void sched_next(void)
{
    struct Cpu *c = this_cpu();
    struct Env *e = c->cpu_env;
    uint64_t now;

    spin_lock(&env_lock);
    now = read_tsc();
    timers_expire(c, now);
    if (e) {
        if (is_marked(e))
            do_marked(e);
        if (e->env_status == ENV_RUNNING && !run_queue.head)
            stay(c, e);
        leave(c, e, now);
    }
    if (!run_queue.head)
        now = idle(c);
    e = envlist_take(&run_queue);
    slice_start(c, now);
    run(c, e);
}

/* A short way into sched_next: if nobody waits, there is nothing to do. */
int64_t sys_yield(void)
{
    if (!run_queue.head)
        return 0;
    curenv->env_tf.tf_rax = 0;
    sched_next();
}
