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
#include <kern/lapic.h>
#include <kern/platform.h>
#include <kern/pmap.h>
#include <kern/trap.h>
#include <vmm/guest.h>

#define SLICE_MS    30
#define NEVER       (~0ul)
#define SYSCALL_LEN 2 /* bytes of the SYSCALL instruction */
#define NIRQ        16

/* Under env_lock: */
static struct EnvList run_queue;
static struct EnvList console_waiters;
static struct Env *irq_waiter[NIRQ];
static bool irq_pending[NIRQ];

/* ---- Deadlines ---- */

/* Deadlines belong to the CPU where the env blocked, which is the one that wakes it. */
void sched_timer_insert(struct Env *e, uint64_t deadline)
{
    struct Env **p = &this_cpu()->cpu_timers;

    e->env_wake_tsc = deadline;
    e->env_timer_cpu = this_cpu()->cpu_num;
    while (*p && (*p)->env_wake_tsc <= deadline)
        p = &(*p)->env_timer_next;
    e->env_timer_next = *p;
    *p = e;
}

void sched_timer_remove(struct Env *e)
{
    struct Env **p = &cpus[e->env_timer_cpu].cpu_timers;

    while (*p != e)
        p = &(*p)->env_timer_next;
    *p = e->env_timer_next;
    e->env_wake_tsc = 0;
}

static void timers_expire(struct Cpu *c)
{
    if (!c->cpu_timers)
        return;
    uint64_t now = read_tsc();
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

    if (!c->cpu_env || (!run_queue.head && ncpu == 1))
        return deadline;
    if (c->cpu_slice_end == 0)
        c->cpu_slice_end = read_tsc() + SLICE_MS * tsc_khz;
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
    if (deadline == NEVER || (c->cpu_timer_deadline && c->cpu_timer_deadline <= deadline))
        return;
    c->cpu_timer_deadline = deadline;
    lapic_timer_set(deadline);
}

/* Charge the current env for the CPU time since it was last charged. */
static inline void account(struct Cpu *c)
{
    uint64_t now = read_tsc();

    c->cpu_env->env_ticks += now - c->cpu_env_since;
    c->cpu_env_since = now;
}

bool sched_timer(void)
{
    struct Cpu *c = this_cpu();
    bool over;

    spin_lock(&env_lock);
    c->cpu_timer_deadline = 0;
    timers_expire(c);
    over = c->cpu_slice_end && read_tsc() >= c->cpu_slice_end;
    if (over && c->cpu_env) {
        account(c);
        c->cpu_slice_end = 0; /* if nobody waits, the next one starts */
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
static void kick_idle_cpu(void)
{
    for (uint32_t i = 0; i < ncpu; i++) {
        if (!cpus[i].cpu_idle || &cpus[i] == this_cpu())
            continue;
        cpus[i].cpu_idle = false; /* asked once is enough */
        cpu_kick(&cpus[i]);
        return;
    }
}

void sched_ready(struct Env *e)
{
    if (e->env_paused) {
        e->env_status = ENV_NOT_RUNNABLE;
        e->env_wait = WAIT_PAUSE;
        return;
    }
    e->env_status = ENV_RUNNABLE;
    envlist_append(&run_queue, e);
    this_cpu()->cpu_timer_check = 1;
    if (ncpu > 1)
        kick_idle_cpu();
}

void sched_wait_console(struct Env *e)
{
    envlist_append(&console_waiters, e);
}

void sched_restart(void)
{
    struct Trapframe *tf = &curenv->env_tf;

    assert(tf->tf_trapno == T_SYSCALL);
    tf->tf_rip -= SYSCALL_LEN;
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

static void fpu_load(const struct Env *e)
{
    asm volatile("fxrstor64 %0" : : "m"(e->env_fpu));
}

/* Give this CPU to e: its FPU state, its address space, the stack that its traps save to. */
static inline void env_switch(struct Cpu *c, struct Env *e)
{
    e->env_cpunum = c->cpu_num;
    c->cpu_env = e;
    e->env_runs++;
    fpu_load(e);
    if (e->env_type == ENV_TYPE_GUEST) {
        /* An address space that this CPU no longer protects must not stay loaded. */
        if (c->cpu_cr3 != PADDR(kern_pml4))
            cpu_load_cr3(PADDR(kern_pml4));
        return;
    }
    c->cpu_user_tf_end = &e->env_tf + 1;
    c->cpu_tss.rsp[0] = (uint64_t)c->cpu_user_tf_end;
    if (c->cpu_cr3 != e->env_cr3)
        cpu_load_cr3(e->env_cr3);
}

/* Run e on this CPU; env_lock is released. */
static inline void __attribute__((noreturn)) env_run(struct Cpu *c, struct Env *e)
{
    e->env_status = ENV_RUNNING;
    if (c->cpu_env != e)
        env_switch(c, e);
    spin_unlock(&env_lock);
    sched_arm_timer();
    if (e->env_type != ENV_TYPE_GUEST)
        env_pop_tf(&e->env_tf);
    vmx_vmrun(e);
    sched_yield();
}

/* The current env leaves the CPU. It stays where it is if it waits or is to stop, and queues up if
 * it could go on. */
static inline void leave(struct Cpu *c, struct Env *e)
{
    account(c);
    env_fpu_save();
    c->cpu_env = NULL;
    if (e->env_status == ENV_RUNNING && e->env_stop)
        e->env_status = ENV_NOT_RUNNABLE;
    else if (e->env_status == ENV_RUNNING)
        sched_ready(e);
    e->env_stop = false;
}

void sched_handoff(struct Env *e)
{
    struct Cpu *c = this_cpu();

    if (c->cpu_env->env_killed) {
        sched_ready(e);
        spin_unlock(&env_lock);
        sched_yield();
    }
    leave(c, c->cpu_env);
    env_run(c, e);
}

/* Nothing to run: sleep until an interrupt makes an env runnable. An interrupt between the
 * unlocking and HLT waits for STI, so none is missed. */
static void idle(struct Cpu *c)
{
    if (c->cpu_cr3 != PADDR(kern_pml4))
        cpu_load_cr3(PADDR(kern_pml4));
    while (!run_queue.head) {
        c->cpu_idle = true;
        spin_unlock(&env_lock);
        sched_arm_timer();
        asm volatile("sti; hlt; cli" : : : "memory");
        cpu_flush_poll();
        spin_lock(&env_lock);
        c->cpu_idle = false;
        timers_expire(c);
    }
    c->cpu_env_since = read_tsc();
}

static struct Env *run_queue_take(void)
{
    struct Env *e = run_queue.head;

    envlist_remove(e);
    return e;
}

/* The first guest turns this CPU's kernel into a VMM. A CPU that refuses says so in vmx_init_vmxon,
 * and the guest ends. */
static void end_refused_guest(struct Env *e) __attribute__((noreturn));
static void end_refused_guest(struct Env *e)
{
    e->env_status = ENV_NOT_RUNNABLE;
    spin_unlock(&env_lock);
    env_destroy(e, EXIT_FAULT);
    sched_yield();
}

/* sched_yield comes here on an empty kernel stack (kern/trapentry.S). */
void sched_next(void)
{
    struct Cpu *c = this_cpu();
    struct Env *e = c->cpu_env;

    spin_lock(&env_lock);
    timers_expire(c);
    if (e && e->env_killed) {
        spin_unlock(&env_lock);
        env_destroy(e, e->env_exit);
    }
    if (e && e->env_status == ENV_RUNNING && !e->env_stop && !e->env_paused && !run_queue.head)
        env_run(c, e);
    if (e)
        leave(c, e);
    if (!run_queue.head)
        idle(c);
    c->cpu_slice_end = 0;
    e = run_queue_take();
    if (e->env_type == ENV_TYPE_GUEST && !c->cpu_vmx_on && vmx_init_vmxon() < 0)
        end_refused_guest(e);
    env_run(c, e);
}
