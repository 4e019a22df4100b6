/*
 * The scheduler: run queues, waiting and waking, deadlines, and giving the CPU away.
 */
#ifndef JOS_KERN_SCHED_H
#define JOS_KERN_SCHED_H

#include <inc/assert.h>
#include <inc/once.h>
#include <kern/cpu.h>
#include <kern/env.h>

/*
 * Every CPU has a queue of runnable envs; one that has nothing to do takes from the others'. An env
 * belongs to the CPU env_cpunum, on whose queue or on which it is. Whether it is ENV_RUNNABLE or
 * ENV_RUNNING, and where, changes under that CPU's cpu_queue_lock; that it begins to wait, and is
 * woken, under its own lock (env_wait is not WAIT_NONE exactly while it waits). That it ends, and
 * is forgotten, changes under env_table_lock.
 *
 * Some fields are also read without these locks, with READ_ONCE, so they are only changed with
 * WRITE_ONCE. Whoever reads env_status asks about one change, and holds the lock of that. Whoever
 * looks for an env by env_id, env_parent_id, env_wait or whom it waits for locks what was found,
 * and asks again. The CPU that runs an env reads its env_marks; an interrupt tells it of later
 * ones. env_queued serves a guess.
 *
 * How a system call waits: with the current env locked it checks its condition, sets what its
 * caller is to find in RAX (env_tf.tf_rax, or calls sched_restart) and calls sched_block; then it
 * unlocks the env and calls sched_yield, which does not return. Whoever makes the condition true
 * calls sched_wake with the env locked, after changing tf_rax if need be; the env may still be on
 * its old CPU then. With sched_restart the call is executed again after the wake-up, so it checks
 * its condition again; that is what calls do that copy something to the caller.
 *
 * The env is locked by the callers of sched_ready, sched_block, sched_restart, sched_wake,
 * sched_forget, sched_mark, sched_poke and env_has_cpu.
 */

/* Is e running, or on its way off a CPU? (On which one, env_cpunum says, until it comes to the
 * scheduler.) */
static inline bool env_has_cpu(const struct Env *e)
{
    return READ_ONCE(e->env_status) == ENV_RUNNING ||
           READ_ONCE(cpus[READ_ONCE(e->env_cpunum)].cpu_env) == e;
}
/* Make e runnable: append it to this CPU's run queue. e must not be on any list. A paused guest
 * goes to WAIT_PAUSE instead. */
void sched_ready(struct Env *e);
/* Note e's deadline on this CPU; forget the one that it has. */
void sched_timer_insert(struct Env *e, uint64_t deadline);
void sched_timer_remove(struct Env *e);
/* Block the current env (e): ENV_NOT_RUNNABLE, with the reason, until sched_wake or until the TSC
 * reaches deadline (0: no deadline). It stays curenv until the caller calls sched_yield. */
ALWAYS_INLINE void sched_block_env(struct Env *e, enum EnvWait why, uint64_t deadline)
{
    WRITE_ONCE(e->env_status, ENV_NOT_RUNNABLE);
    WRITE_ONCE(e->env_wait, why);
    if (deadline)
        sched_timer_insert(e, deadline);
}
static inline void sched_block(enum EnvWait why, uint64_t deadline)
{
    sched_block_env(curenv, why, deadline);
}
#define SYSCALL_LEN 2 /* bytes of the SYSCALL instruction */
/* Let the current env (e) execute its SYSCALL instruction again, with the same arguments, when it
 * wakes. */
static inline void sched_restart_env(struct Env *e)
{
    assert(e->env_tf.tf_trapno == T_SYSCALL);
    e->env_tf.tf_rip -= SYSCALL_LEN;
}
static inline void sched_restart(void)
{
    sched_restart_env(curenv);
}
/* e waits after sched_restart: its system call is over, with this result, and not executed again.
 */
static inline void sched_finish(struct Env *e, int64_t result)
{
    e->env_tf.tf_rip += SYSCALL_LEN;
    e->env_tf.tf_rax = result;
}
/* Wake e from whatever it waits for; does nothing if it waits for nothing (WAIT_NONE). */
void sched_wake(struct Env *e);
/* The same, and e runs on this CPU as soon as that can leave what it does now: for envs that serve
 * a person or a device. */
void sched_wake_at_once(struct Env *e);
/* End e's wait as sched_wake does (it is on no list of senders any more), but leave it to the
 * caller to run or queue it. false: e is still on a CPU, and nothing is left to do. */
ALWAYS_INLINE bool sched_unblock(struct Env *e)
{
    WRITE_ONCE(e->env_wait, WAIT_NONE);
    if (e->env_wake_tsc)
        sched_timer_remove(e);
    if (__builtin_expect(READ_ONCE(cpus[e->env_cpunum].cpu_env) != e, 1))
        return true;
    /* It is on its way to sched_yield, which queues it, and sees what was changed before. */
    __atomic_store_n(&e->env_status, ENV_RUNNING, __ATOMIC_RELEASE);
    return false;
}
/* Give the CPU and the rest of the time slice from the current env, which is blocked, to e, which
 * is on no list and waits for nothing. Both are locked, and unlocked here. */
void sched_handoff(struct Env *e) __attribute__((noreturn));
enum SchedPlace {
    SCHED_WAITS,   /* it was ENV_NOT_RUNNABLE, or has ended: nothing was done */
    SCHED_QUEUED,  /* it was on a run queue, and is ENV_NOT_RUNNABLE now */
    SCHED_HAS_CPU, /* it has the mark; or is on a run queue, and to be ended when it gets a CPU */
};
/* Take e off the run queue, or if it has a CPU, leave a mark (ENV_MARK_*) for the scheduler and
 * interrupt that CPU. */
enum SchedPlace sched_mark(struct Env *e, uint8_t mark);
/* Pause a guest or let it go on: while it is marked, whatever makes it runnable leaves it in
 * WAIT_PAUSE. One that runs on another CPU is interrupted there. Takes its lock. */
void sched_pause(struct Env *e, bool paused);
/* Let a guest look at what has changed for it: out of HLT, or out of the guest. */
void sched_poke(struct Env *e);
/* Save the current env's FPU state into its env_fpu if the registers hold it (before another env or
 * a guest gets them); the scheduler loads it again. */
static inline void env_fpu_save(void)
{
    asm volatile("fxsave64 %0" : "=m"(curenv->env_fpu));
}

/* Give the CPU to the next env; waits in HLT if there is none. The current env, if still
 * ENV_RUNNING, goes to the end of the queue. Turns this CPU into a VMM (guest_hooks.cpu_on) before
 * the first guest. Does not return. */
void sched_yield(void) __attribute__((noreturn));
/* The first guest that sched_yield runs turns this CPU's kernel into a VMM: 0 when VMX operation is
 * on. A CPU that refuses says so in vmx_init_vmxon: -E_*. */
int sched_vmx_on(struct Cpu *c);
/* The body of sched_yield, which has emptied the kernel stack before; a system call that has used
 * next to none of it may come here directly. */
void sched_next(void) __attribute__((noreturn));
/* Before the first env: take over the clock's rate. */
void sched_init(void);
/* Local APIC timer interrupt. Returns true if the current env's slice is over and another wants the
 * CPU. */
bool sched_timer(void);
/* Has an interrupt made somebody runnable who must run at once? */
static inline bool sched_preempts(void)
{
    return this_cpu()->cpu_preempt;
}
/* Make sure that the timer comes no later than the end of the time slice, or the first sleeper's
 * deadline. */
void sched_arm_timer(void);
/* Make the timer of this CPU come at this deadline (host TSC) or before. */
void sched_timer_by(uint64_t deadline);
/* Does another env want this CPU? */
bool sched_others_waiting(void);
/* TSC at which the host needs the CPU back from the guest that runs now (slice end or first
 * sleeper); ~0: never; 0: at once. */
uint64_t sched_deadline(void);

/* The system call of that name. */
int64_t sys_yield(void);

#endif
