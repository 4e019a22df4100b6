/*
 * Environments and their life cycle. env_lock protects the env table, states, families, wait lists and
 * run queues.
 */
#ifndef JOS_KERN_ENV_H
#define JOS_KERN_ENV_H

#include <inc/env.h>
#include <kern/cpu.h>
#include <kern/spinlock.h>

extern struct Env envs[NENV];
extern struct spinlock env_lock;

/* What an ENV_NOT_RUNNABLE env waits for (Env.env_wait). */
enum EnvWait {
    WAIT_NONE = 0, /* not started, or stopped by its parent */
    WAIT_SEND,     /* in the senders' list of env_wait_id */
    WAIT_RECV,     /* for a message (from env_ipc_recv_from) */
    WAIT_CHILD,    /* for child env_wait_id (0: any) to end */
    WAIT_CONS,     /* for console input */
    WAIT_SLEEP,    /* for its deadline */
    WAIT_IRQ,      /* for interrupt line env_wait_arg, or its deadline */
    WAIT_GUEST,    /* monitor: for an event of guest env_wait_id */
    WAIT_HLT,      /* guest: executed HLT; for an interrupt or its deadline */
    WAIT_MONITOR,  /* guest: stopped at an exit that its monitor has to answer */
    WAIT_HOSTRECV, /* guest: in VMX_VMCALL_IPCRECV */
    WAIT_HOSTSEND, /* guest: in VMX_VMCALL_IPCSEND */
};

void env_init(void);
/* A new env, ENV_NOT_RUNNABLE, with an empty address space (a guest gets none). -E_NO_FREE_ENV, -E_NO_MEM. */
int env_alloc(struct Env **store, struct Env *parent, enum EnvType type);
/* Start an embedded program at boot; panics when it cannot. */
void env_create(const uint8_t *elf, size_t size, enum EnvType type, const char *name);
/* End an env with this exit status: everything it holds is given back; a zombie stays until its parent
 * has read the status (none when it has no parent). If it is the current env, does not return. */
void env_destroy(struct Env *e, int status);
/* Run e on this CPU. Does not return. */
void env_run(struct Env *e) __attribute__((noreturn));
/* Look an id up. 0 is the current env. With checkperm: only the current env or its direct child.
 * -E_BAD_ENV. */
int envid2env(envid_t id, struct Env **store, bool checkperm);
/* Save the current env's FPU state into its env_fpu if the registers hold it (before another env or a
 * guest gets them); env_run loads it again. */
void env_fpu_save(void);

/* ---- kern/sched.c: run queue and waiting ---- */

/* Make e runnable (append to the run queue). e must not be on any list. */
void sched_ready(struct Env *e);
/* Block the current env (its frame is saved): sets ENV_NOT_RUNNABLE and the reason. The caller then calls
 * sched_yield. deadline: TSC at which sched_wake(e, -E_AGAIN) happens by itself; 0: never. */
void sched_block(struct Env *e, enum EnvWait why, uint64_t deadline);
/* Wake e from whatever it waits for; its system call returns result. (For a guest the result is ignored.) */
void sched_wake(struct Env *e, int64_t result);
/* Take e off the run queue / timer list, wherever it is. */
void sched_remove(struct Env *e);
/* Give the CPU to the next env; waits in HLT if there is none. The current env, if still running, goes to
 * the end of the queue. Does not return. */
void sched_yield(void) __attribute__((noreturn));
/* Local APIC timer interrupt: wakes sleepers whose time has come. Returns true if the current
 * env's slice is over and another env wants the CPU. */
bool sched_timer(void);
/* Does another env want this CPU? */
bool sched_others_waiting(void);
/* TSC at which the host needs the CPU back from what runs now (slice end or first sleeper); ~0: never. */
uint64_t sched_deadline(void);
/* Is the env behind e (by id) still the same and alive? Helper for wait lists. */

/* ---- kern/ipc.c ---- */
/* Called when e goes away: wakes its blocked senders and those who wait to receive from it. */
void ipc_env_gone(struct Env *e);
/*
 * IPC on behalf of a guest (vmm/): send pp (NULL: no page) from guest env g to env `to`.
 * Returns 0: delivered; 1: g was queued (WAIT_HOSTSEND; the result reaches g through
 * guest_ipc_sent in vmm/hypercall.h); -E_*.
 */
int ipc_guest_send(struct Env *g, struct Env *to, uint64_t value, struct PageInfo *pp, uint64_t perm);

#endif
