/*
 * Environments and their life cycle, the scheduler, and messages. doc/internals.md has the table of
 * locks and their order.
 */
#ifndef JOS_KERN_ENV_H
#define JOS_KERN_ENV_H

#include <inc/assert.h>
#include <inc/env.h>
#include <inc/once.h>
#include <kern/cpu.h>
#include <kern/envlist.h>
#include <kern/spinlock.h>

#define ENVS_PER_PAGE (PGSIZE / ENV_SLOT)
extern struct Env
    envs[NENV]; /* at KERNEL_ENVS; a slot that is free may have no memory of its own */
/* The env table: slots, ids, families, and the order in which envs end. Taken before env locks. */
extern struct spinlock env_table_lock;
/* Not in struct Env, since they outlive its owner: */
extern struct spinlock env_locks[NENV];
extern struct spinlock env_mem_locks[NENV];

/* The slot that this id has, or had, or would have. (Once and for all: left to itself, the compiler
 * works the address out again for each use.) */
static inline struct Env *env_slot(envid_t id)
{
    struct Env *e = &envs[ENVX(id)];

    asm("" : "+r"(e));
    return e;
}

/* e's own element of an array of NENV locks, without a division: envs are nine slots apart, and
 * nine is odd. (Number times size is written so that it takes a shift and a mask.) */
ALWAYS_INLINE struct spinlock *env_own_lock(struct spinlock *locks, const struct Env *e)
{
    size_t size = sizeof(*locks);
    size_t offset = (uintptr_t)e / (ENV_SLOT / size) & (NENV - 1) * size;

    return (struct spinlock *)((char *)locks + offset);
}

/* The lock of e's address space: env_pml4 and its tables. Taken after env locks; that of a guest,
 * which has none, protects its struct Guest, and is taken before. */
static inline struct spinlock *env_mem(const struct Env *e)
{
    return env_own_lock(env_mem_locks, e);
}

/*
 * The lock of an env protects what it waits for, its wake-up, the messages that others want to send
 * to it, and a guest's state towards its monitor. Two are taken in the order of their addresses; in
 * the other order by env_lock_also only.
 */
ALWAYS_INLINE void env_lock(const struct Env *e)
{
    spin_lock(env_own_lock(env_locks, e));
}

ALWAYS_INLINE void env_unlock(const struct Env *e)
{
    spin_unlock(env_own_lock(env_locks, e));
}

/* The rest of env_lock_also: somebody has e's lock. */
bool env_lock_both(const struct Env *held, const struct Env *e) __attribute__((cold));

/* Lock e besides `held`. false: that was let go of in between, and is locked again; what was known
 * of it may no longer hold. */
ALWAYS_INLINE bool env_lock_also(const struct Env *held, const struct Env *e)
{
    return __builtin_expect(spin_trylock(env_own_lock(env_locks, e)), 1) || env_lock_both(held, e);
}

/* Has e not begun to end? It does not while it is locked. (Whether it runs or could, other CPUs may
 * change meanwhile.) */
static inline bool env_is_alive(const struct Env *e)
{
    uint32_t status = READ_ONCE(e->env_status);

    return status == ENV_RUNNING || status == ENV_RUNNABLE || status == ENV_NOT_RUNNABLE;
}

/*
 * The file server, init, and what init has started (the shell) are vital: the machine can be used
 * while they run. Nobody ends them but their parent and they themselves, and the last slots and
 * frames are theirs, so that a shell can still start a program that ends others.
 */
#define RESERVED_ENVS   16  /* for init, and for what it and the shell start */
#define RESERVED_FRAMES 128 /* for init and the shell */
#define RESERVED_FS     64  /* of these frames the file server leaves so many to the others */

/* Free frames that e (NULL: the kernel itself) has to leave to others. */
static inline size_t env_frames_kept_from(const struct Env *e)
{
    if (!e || (e->env_vital && e->env_type != ENV_TYPE_FS))
        return 0;
    return e->env_vital ? RESERVED_FS : RESERVED_FRAMES;
}

/* Slots in use now. */
uint32_t env_nused(void);
/* A new env, ENV_NOT_RUNNABLE, with an empty address space (a guest gets none). -E_NO_FREE_ENV: no
 * slot is left for children of this parent; -E_NO_MEM. */
int env_alloc(struct Env **store, struct Env *parent, enum EnvType type);
/* Start an embedded program at boot; panics when it cannot. */
void env_create(const uint8_t *elf, size_t size, enum EnvType type, const char *name);
/* End an env with this exit status: everything it holds is given back; a zombie stays until its
 * parent has read the status (none when it has no parent). Its guests, and children that it has not
 * started or has stopped, end with it. If it is the current env, does not return. */
void env_destroy(struct Env *e, int status);
/* End the env of this id as the system call does. -E_BAD_ENV; -E_PERM: it is vital, and neither the
 * caller nor its child. Does not return if it is the caller. */
int env_kill(envid_t id);
/* Forget a zombie child whose status its parent has read. env_table_lock is held. */
void env_reap(struct Env *parent, struct Env *zombie);
/* Map pp in the user space of e and keep count (env_pages). env_mem is held. -E_NO_MEM. */
int env_map(struct Env *e, struct PageInfo *pp, uintptr_t va, uint64_t perm);
/* The frame at page-aligned va of e, to be mapped elsewhere with perm (as system calls take it),
 * with a reference for the caller. Takes env_mem. -E_INVAL. */
int env_page_take(struct Env *e, uintptr_t va, uint64_t perm, struct PageInfo **pp);
/* The other half: map pp at page-aligned va of e. The mapping takes over the caller's reference,
 * unless the result is an error. Takes env_mem. -E_NO_MEM. */
int env_page_give(struct Env *e, struct PageInfo *pp, uintptr_t va, uint64_t perm);
/* Unmap page-aligned va of the current env e, if it is mapped. Takes env_mem. */
void env_page_drop(struct Env *e, uintptr_t va);
/* Look an id up. 0 is the current env. With checkperm: only the current env or its direct child.
 * -E_BAD_ENV. */
int envid2env(envid_t id, struct Env **store, bool checkperm);
/* Save the current env's FPU state into its env_fpu if the registers hold it (before another env or
 * a guest gets them); the scheduler loads it again. */
static inline void env_fpu_save(void)
{
    asm volatile("fxsave64 %0" : "=m"(curenv->env_fpu));
}

/* At boot: this env is the file server. */
void env_is_file_server(const struct Env *e);
/* The env of the file server, or NULL: it has ended, or was not started. Takes no lock: its slot
 * may have another owner by the time it is used. */
struct Env *env_file_server(void);

/* ---- kern/sched.c: run queues and waiting; kern/waiters.c: for the console and interrupts ---- */

/*
 * Every CPU has a queue of runnable envs; one that has nothing to do takes from the others'. An env
 * belongs to the CPU env_cpunum, on whose queue or on which it is. Whether it is ENV_RUNNABLE or
 * ENV_RUNNING, and where, changes under that CPU's cpu_queue_lock; that it begins to wait, and is
 * woken, under its own lock (env_wait is not WAIT_NONE exactly while it waits). That it ends, and
 * is forgotten, changes under env_table_lock.
 *
 * Some fields are also read without these locks, with READ_ONCE, so they are only changed with
 * WRITE_ONCE. Who reads env_status asks about one change, and holds the lock of that. Who looks for
 * an env by env_id, env_parent_id, env_wait or whom it waits for locks what was found, and asks
 * again. The CPU that runs an env reads its env_marks; an interrupt tells it of later ones.
 * env_queued serves a guess.
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
/* From now on e, which is about to wait, is woken when console input comes. false: there is some.
 * It stays so until the next wake-up, whatever e waits for (WAIT_CONS, or env_wait_arg is set). */
bool sched_wait_console(struct Env *e);
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
/* Wake all envs in WAIT_CONS, and monitors that asked for console input. From cons_intr; takes
 * their locks. */
void sched_wake_console(void);
/* Wake the env that waits for this interrupt line (WAIT_IRQ). From irq_dispatch; takes its lock. */
void sched_wake_irq(int irq);
/* Let no deadline and no interrupt wake e any more, which has ended. */
void sched_forget(struct Env *e);
/* Give the CPU to the next env; waits in HLT if there is none. The current env, if still
 * ENV_RUNNING, goes to the end of the queue. Turns VT-x on (vmx_init_vmxon) before the first guest.
 * Does not return. */
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
/* Has an interrupt made somebody runnable who is to run at once? */
static inline bool sched_preempts(void)
{
    return this_cpu()->cpu_preempt;
}
/* Make sure that the timer comes no later than the end of the time slice, or the first sleeper's
 * deadline. */
void sched_arm_timer(void);
/* The current env waits for an interrupt line: 0 if it has fired already, else does not return; the
 * call's result is 0, or -E_AGAIN after the deadline. */
int sched_wait_irq(int irq, uint64_t deadline);
/* Does another env want this CPU? */
bool sched_others_waiting(void);
/* TSC at which the host needs the CPU back from the guest that runs now (slice end or first
 * sleeper); ~0: never; 0: at once. */
uint64_t sched_deadline(void);

/* ---- kern/ipc.c ---- */
/* Called when e, which is ENV_DYING, goes away: wakes its blocked senders and those who wait to
 * receive from it. env_table_lock is held. */
void ipc_env_gone(struct Env *e);
/* Take e, which is locked and has no CPU, off the senders of the env it waits for, if it is there.
 * false, and nothing is done: e was let go of in between. */
bool ipc_leave_senders(struct Env *e);
/*
 * IPC on behalf of the current env, a guest g in VMX_VMCALL_IPCSEND: send pp (NULL: no page) to the
 * file server `to`. Returns 0: delivered; 1: g was queued and blocked (WAIT_HOSTSEND), call
 * sched_yield; its result comes by guest_ipc_sent (vmm/guest.h); -E_*. Takes its own reference on
 * pp. A message to a guest is handed over by guest_ipc_deliver (vmm/guest.h).
 */
int ipc_guest_send(struct Env *g, struct Env *to, uint64_t value, struct PageInfo *pp,
                   uint64_t perm);
/* Lock the current env, a guest, and the file server, which is the result; NULL: it has ended, and
 * just the guest is locked. */
struct Env *ipc_lock_server(struct Env *g);
void ipc_unlock_server(struct Env *g, struct Env *to);
/* The current env, a guest, waits for a message of the file server `to` (WAIT_HOSTRECV), whose end
 * wakes it with -E_BAD_ENV. Both are locked. */
void ipc_guest_wait(struct Env *g, struct Env *to);

#endif
