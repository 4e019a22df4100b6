/*
 * The env table: what an env is, its locks, and the way from an id to it. doc/internals.md has the
 * table of locks and their order.
 */
#ifndef JOS_KERN_ENV_H
#define JOS_KERN_ENV_H

#include <inc/env.h>
#include <inc/mmu.h>
#include <inc/once.h>
#include <kern/spinlock.h>

struct Vcpu; /* a guest's virtual machine: vmm/ */
struct XsaveArea;

/* A doubly linked list of envs; an env is on at most one (Env.env_on). */
struct EnvList {
    struct Env *head, *tail; /* head is NULL if it is empty */
};

#define ENV_NO_TABLE (~0ul) /* Env.env_table_va */

/* Env.env_marks: what is to become of an env that has a CPU, when it comes to the scheduler. One
 * more, ENV_MARK_PAUSED, is public (inc/env.h). */
#define ENV_MARK_KILLED (1 << 1) /* is to be ended, with env_exit */
#define ENV_MARK_STOP   (1 << 2) /* is to be stopped */
#define ENV_MARK_XSTATE (1 << 3) /* its extended state is in the CPU: kern/xstate.h */

/*
 * The private part lies on another page than the public one, so that no frame of UENVS has anything
 * of it. Four envs share two frames, at different places in them:
 *
 *      env    page 2 * n           page 2 * n + 1
 *       0     public  .  .  .      private  .  .  .
 *       1     .  public  .  .      .  private  .  .
 *       2     .  .  public  .      .  .  private  .
 *       3     .  .  .  public      .  .  .  private
 */
struct Env {
    union {
        struct {
            ENV_PUBLIC
        };
        uint8_t env_public_page[PGSIZE];
    };
    union {
        struct {
            struct Trapframe env_tf; /* saved registers; first, 16-byte aligned */
            uint8_t env_fpu[512] __attribute__((aligned(16))); /* FXSAVE area */

            uintptr_t env_pgfault_upcall; /* 0: none */
            uint64_t *env_pml4;
            physaddr_t env_cr3;
            uint64_t *env_table;          /* the page table that was used last, */
            uintptr_t env_table_va;       /* and the start of what it maps; ENV_NO_TABLE: none */
            struct Vcpu *env_guest;       /* ENV_TYPE_GUEST: its virtual machine */
            struct XsaveArea *env_xstate; /* a page: kern/xstate.h; NULL: never used */
            struct EnvList *env_on;       /* list it is on: run queue, free list or a wait list */
            struct Env *env_next, *env_prev; /* neighbours there */
            struct Env *env_child;           /* first child that is not a zombie, */
            struct Env *env_zombie;          /* and first one that is */
            struct Env *env_sib_next, *env_sib_prev;
            uintptr_t env_ipc_dstva;    /* where to map pages (IPC_ROOM); >= UTOP: nowhere */
            uint32_t env_ipc_more;      /* pages that came beside the first one and are there yet */
            envid_t env_ipc_recv_from;  /* accept only this sender; 0: any */
            envid_t env_wait_id;        /* the env it waits for */
            struct EnvList env_senders; /* envs blocked in sending to this one, in order */
            uint64_t env_ipc_send_value; /* while blocked in sending: */
            uintptr_t env_ipc_send_srcva;
            uint64_t env_ipc_send_perm;
            struct PageInfo *env_ipc_send_page; /* a guest's page, with a reference */
            uintptr_t env_wait_arg; /* argument of the wait: console wanted, interrupt line */
            bool env_vital;         /* what the machine needs: RESERVED_ENVS */
            bool env_awaited;       /* some env has waited for a message from this one only */
            uint8_t env_freed;      /* ENV_DYING: its memory has been given back */
            uint8_t env_timer_cpu;  /* whose cpu_timers it is in */
            uint64_t env_call_done; /* bytes that a long system call under way has done */
            uint64_t env_wake_tsc;  /* deadline of the wait; 0: none */
            uint64_t env_queued;    /* TSC when it came to the run queue it is on */
            /* Its place among those with a deadline (kern/timerq.c): first child, neighbours. */
            struct Env *env_timer_child, *env_timer_next, *env_timer_prev;
            uint64_t env_claim;   /* on the interrupt key: kern/intkey.c; 0: none */
            bool env_interrupted; /* that was pressed, and sys_env_wait has not told it */
        };
        uint8_t env_private_page[PGSIZE + ENV_SLOT]; /* one slot further for the next env */
    };
} __attribute__((aligned(ENV_SLOT)));
_Static_assert(sizeof(struct Env) == 2 * PGSIZE + ENV_SLOT, "the next env's slots are further on");
_Static_assert(offsetof(struct Env, env_interrupted) < PGSIZE + ENV_SLOT, "private parts fit");

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
 * which has none, protects its struct Vcpu, and is taken before. */
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
    return env_status_is_alive(READ_ONCE(e->env_status));
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

/* Look an id up. 0 is the current env. With checkperm: only the current env or its direct child.
 * -E_BAD_ENV. */
int envid2env(envid_t id, struct Env **store, bool checkperm);
/* At boot: this env is the file server. */
void env_is_file_server(const struct Env *e);
/* The env of the file server, or NULL: it has ended, or was not started. Takes no lock: its slot
 * may have another owner by the time it is used. */
struct Env *env_file_server(void);

#endif
