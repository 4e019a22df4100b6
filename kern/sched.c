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
#include <vmm/guest.h>

#define SLICE_MS    30
#define NEVER       (~0ul)
#define SYSCALL_LEN 2 /* bytes of the SYSCALL instruction */
#define NIRQ        16

/* Under env_lock: */
static struct EnvList run_queue;
static struct EnvList console_waiters;
static struct Env *timers; /* envs with a deadline, earliest first, linked by env_timer_next */
static struct Env *irq_waiter[NIRQ];
static bool irq_pending[NIRQ];

/* ---- Deadlines ---- */

static void timer_insert(struct Env *e)
{
    struct Env **p = &timers;

    while (*p && (*p)->env_wake_tsc <= e->env_wake_tsc)
        p = &(*p)->env_timer_next;
    e->env_timer_next = *p;
    *p = e;
}

static void timer_remove(struct Env *e)
{
    struct Env **p = &timers;

    if (e->env_wake_tsc == 0)
        return;
    while (*p != e)
        p = &(*p)->env_timer_next;
    *p = e->env_timer_next;
    e->env_wake_tsc = 0;
}

static void timers_expire(void)
{
    if (!timers)
        return;
    uint64_t now = read_tsc();
    while (timers && timers->env_wake_tsc <= now)
        sched_wake(timers);
}

/* A time slice starts when somebody else begins to wait for the CPU. */
uint64_t sched_deadline(void)
{
    struct Cpu *c = this_cpu();
    uint64_t deadline = timers ? timers->env_wake_tsc : NEVER;

    if (!c->cpu_env || !run_queue.head)
        return deadline;
    if (c->cpu_slice_end == 0)
        c->cpu_slice_end = read_tsc() + SLICE_MS * tsc_khz;
    return MIN(deadline, c->cpu_slice_end);
}

/* An armed timer that is early enough stays: it finds out what to do when it comes. */
void sched_arm_timer(void)
{
    struct Cpu *c = this_cpu();
    uint64_t deadline = sched_deadline();

    c->cpu_timer_check = 0;
    if (deadline == NEVER || (c->cpu_timer_deadline && c->cpu_timer_deadline <= deadline))
        return;
    c->cpu_timer_deadline = deadline;
    lapic_timer_set(deadline);
}

bool sched_timer(void)
{
    struct Cpu *c = this_cpu();

    c->cpu_timer_deadline = 0;
    spin_lock(&env_lock);
    timers_expire();
    spin_unlock(&env_lock);
    if (run_queue.head && (!c->cpu_env || (c->cpu_slice_end && read_tsc() >= c->cpu_slice_end)))
        return true;
    sched_arm_timer();
    return false;
}

/* ---- Run queue and waiting ---- */

bool sched_others_waiting(void)
{
    return run_queue.head != NULL;
}

void sched_ready(struct Env *e)
{
    e->env_status = ENV_RUNNABLE;
    envlist_append(&run_queue, e);
    this_cpu()->cpu_timer_check = 1;
}

void sched_block(enum EnvWait why, uint64_t deadline)
{
    struct Env *e = curenv;

    e->env_status = ENV_NOT_RUNNABLE;
    e->env_wait = why;
    if (why == WAIT_CONS || (why == WAIT_GUEST && e->env_wait_arg))
        envlist_append(&console_waiters, e);
    if (deadline) {
        e->env_wake_tsc = deadline;
        timer_insert(e);
    }
}

void sched_restart(void)
{
    struct Trapframe *tf = &curenv->env_tf;

    assert(tf->tf_trapno == T_SYSCALL);
    tf->tf_rip -= SYSCALL_LEN;
}

void sched_wake(struct Env *e)
{
    if (e->env_status != ENV_NOT_RUNNABLE || e->env_wait == WAIT_NONE)
        return;
    e->env_wait = WAIT_NONE;
    envlist_remove(e);
    timer_remove(e);
    sched_ready(e);
}

void sched_remove(struct Env *e)
{
    envlist_remove(e);
    timer_remove(e);
    for (int i = 0; i < NIRQ; i++)
        if (irq_waiter[i] == e)
            irq_waiter[i] = NULL;
}

void sched_wake_console(void)
{
    while (console_waiters.head)
        sched_wake(console_waiters.head);
}

void sched_wake_irq(int irq)
{
    struct Env *e = irq_waiter[irq];

    irq_pending[irq] = true;
    irq_waiter[irq] = NULL;
    if (!e || e->env_wait != WAIT_IRQ || e->env_wait_arg != (uintptr_t)irq)
        return; /* nobody, or one whose deadline came first */
    irq_pending[irq] = false;
    e->env_tf.tf_rax = 0;
    sched_wake(e);
}

int sched_wait_irq(int irq, uint64_t deadline)
{
    if (irq_pending[irq]) {
        irq_pending[irq] = false;
        return 0;
    }
    irq_waiter[irq] = curenv;
    curenv->env_wait_arg = irq;
    curenv->env_tf.tf_rax = -E_AGAIN;
    sched_block(WAIT_IRQ, deadline);
    sched_yield();
}

/* ---- Giving the CPU away ---- */

/* The current env leaves the CPU. It stays where it is if it waits, and queues up if it could go
 * on. */
static void leave(struct Cpu *c, struct Env *e)
{
    e->env_ticks += read_tsc() - c->cpu_env_since;
    env_fpu_save();
    if (e->env_type == ENV_TYPE_GUEST)
        cpu_load_tables(c);
    c->cpu_env = NULL;
    if (e->env_status == ENV_RUNNING)
        sched_ready(e);
}

/* Nothing to run: sleep until an interrupt makes an env runnable. */
static void idle(void)
{
    if (rcr3() != PADDR(kern_pml4))
        lcr3(PADDR(kern_pml4));
    while (!run_queue.head) {
        sched_arm_timer();
        asm volatile("sti; hlt; cli" : : : "memory");
        timers_expire();
    }
}

/* sched_yield comes here on an empty kernel stack (kern/trapentry.S). */
void sched_next(void)
{
    struct Cpu *c = this_cpu();
    struct Env *e = c->cpu_env;

    timers_expire();
    if (e && e->env_status == ENV_RUNNING && !run_queue.head)
        env_run(e);
    if (e)
        leave(c, e);
    if (!run_queue.head)
        idle();
    e = run_queue.head;
    envlist_remove(e);

    /* The first guest turns this kernel into a VMM. A CPU that refuses is said so by
     * vmx_init_vmxon. */
    if (e->env_type == ENV_TYPE_GUEST && !c->cpu_vmx_on && vmx_init_vmxon() < 0) {
        env_destroy(e, EXIT_FAULT);
        sched_yield();
    }
    env_run(e);
}
