/*
 * Environments: JOS's processes. The public part of the array envs[] is mapped read-only in every
 * env at UENVS.
 */
#ifndef JOS_INC_ENV_H
#define JOS_INC_ENV_H

#include "memlayout.h"
#include "trap.h"

/*
 * An environment id:   31          10 9      0
 *                     | generation  | index  |
 * The generation makes ids of a reused slot differ; ids are positive.
 */
#define LOG2NENV 10
#define NENV     (1 << LOG2NENV)
#define ENVX(id) ((uint32_t)(id) & (NENV - 1))

enum EnvStatus {
    ENV_FREE = 0,
    ENV_RUNNABLE,
    ENV_RUNNING,
    ENV_NOT_RUNNABLE, /* waits for something, or was never started */
    ENV_DYING,        /* being torn down */
    ENV_ZOMBIE,       /* holds nothing but its exit status, until its parent asks for that */
};

/* What an ENV_NOT_RUNNABLE env waits for (Env.env_wait). */
enum EnvWait {
    WAIT_NONE = 0, /* not started, or stopped by its parent */
    WAIT_SEND,     /* in the senders' list of env_wait_id */
    WAIT_CALL,     /* the same, for sys_ipc_call: then becomes WAIT_RECV */
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
    WAIT_PAUSE,    /* guest: could run, but is paused (env_paused) */
};

enum EnvType {
    ENV_TYPE_USER = 0,
    ENV_TYPE_FS,    /* the file-system server: may use the disk's I/O ports */
    ENV_TYPE_INIT,  /* the first program; ending it is refused */
    ENV_TYPE_GUEST, /* a virtual machine */
};

/* Exit statuses that the kernel gives (as the shells of the field do). */
#define EXIT_KILLED 137 /* ended by another env */
#define EXIT_FAULT  139 /* ended by an exception that nobody handled */

#define ENV_NAME_LEN 32

#ifndef __ASSEMBLER__

struct Guest; /* vmm/guest.h */

struct PageInfo;

/* A doubly linked list of envs; an env is on at most one (Env.env_on). */
struct EnvList {
    struct Env *head, *tail; /* head is NULL if it is empty */
};

/*
 * What all envs see of an env, at UENVS. In the kernel, struct Env goes on with what only the
 * kernel sees, its registers among it. That lies on another page, so that no frame of UENVS has
 * anything of it. Four envs share two frames, at different places in them:
 *
 *      env    page 2 * n           page 2 * n + 1
 *       0     public  .  .  .      private  .  .  .
 *       1     .  public  .  .      .  private  .  .
 *       2     .  .  public  .      .  .  private  .
 *       3     .  .  .  public      .  .  .  private
 */
#define ENV_SLOT 1024 /* of a frame, for each part */

#define ENV_NO_TABLE (~0ul) /* Env.env_table_va */

/* Env.env_marks: what is to become of an env that has a CPU, when it comes to the scheduler. */
#define ENV_MARK_PAUSED (1 << 0) /* guest: is not given a CPU while this is set */
#define ENV_MARK_KILLED (1 << 1) /* is to be ended, with env_exit */
#define ENV_MARK_STOP   (1 << 2) /* is to be stopped */

struct Env {
    union {
        struct {
            envid_t env_id;
            envid_t env_parent_id;
            envid_t env_family;  /* the first of those that it descends from, whoever of them still
                                  * lives: a child of an env_vital one, which is what the shell has
                                  * started, or of nobody */
            uint32_t env_type;   /* enum EnvType */
            uint32_t env_status; /* enum EnvStatus */
            uint32_t env_runs;   /* times it was given a CPU */
            uint32_t env_cpunum; /* CPU it runs on, or ran on last */
            int32_t env_exit;    /* exit status, valid when ENV_ZOMBIE */
            uint32_t env_pages;  /* frames mapped in user space, page tables not counted */
            uint64_t env_ticks;  /* TSC ticks spent running */
            char env_name[ENV_NAME_LEN];

            uint32_t env_wait; /* what it waits for: enum EnvWait */
            uint8_t env_marks; /* ENV_MARK_*: what the scheduler has to look at */
        };
#ifdef JOS_KERNEL
        uint8_t env_public_page[PGSIZE];
#endif
    };
#ifdef JOS_KERNEL
    union {
        struct {
            struct Trapframe env_tf; /* saved registers; first, 16-byte aligned */
            uint8_t env_fpu[512] __attribute__((aligned(16))); /* FXSAVE area */

            uintptr_t env_pgfault_upcall; /* 0: none */
            uint64_t *env_pml4;
            physaddr_t env_cr3;
            uint64_t *env_table;     /* the page table that was used last, */
            uintptr_t env_table_va;  /* and the start of what it maps; ENV_NO_TABLE: none */
            struct Guest *env_guest; /* ENV_TYPE_GUEST: its virtual machine */
            struct EnvList *env_on;  /* list it is on: run queue, free list or a wait list */
            struct Env *env_next, *env_prev; /* neighbours there */
            struct Env *env_child;           /* first child that is no zombie, */
            struct Env *env_zombie;          /* and first one that is */
            struct Env *env_sib_next, *env_sib_prev;
            uintptr_t env_ipc_dstva;     /* where to map a page; >= UTOP: nowhere */
            envid_t env_ipc_recv_from;   /* accept only this sender; 0: any */
            envid_t env_wait_id;         /* the env it waits for */
            struct EnvList env_senders;  /* envs blocked in sending to this one, in order */
            uint64_t env_ipc_send_value; /* while blocked in sending: */
            uintptr_t env_ipc_send_srcva;
            uint64_t env_ipc_send_perm;
            struct PageInfo *env_ipc_send_page; /* a guest's page, with a reference */
            uintptr_t env_wait_arg; /* argument of the wait: console wanted, interrupt line */
            bool env_vital;         /* what the machine needs: kern/env.h */
            bool env_awaited;       /* some env has waited for a message from this one only */
            uint8_t env_freed;      /* ENV_DYING: its memory has been given back */
            uint8_t env_timer_cpu;  /* whose cpu_timers it is in */
            uint64_t env_call_done; /* bytes that a long system call under way has done */
            uint64_t env_wake_tsc;  /* deadline of the wait; 0: none */
            uint64_t env_queued;    /* TSC when it came to the run queue it is on */
            /* Its place among those with a deadline (kern/timerq.c): first child, neighbours. */
            struct Env *env_timer_child, *env_timer_next, *env_timer_prev;
        };
        uint8_t env_private_page[PGSIZE + ENV_SLOT]; /* one slot further for the next env */
    };
#endif
} __attribute__((aligned(ENV_SLOT)));
#ifdef JOS_KERNEL
_Static_assert(sizeof(struct Env) == 2 * PGSIZE + ENV_SLOT, "the next env's slots are further on");
_Static_assert(offsetof(struct Env, env_timer_prev) < PGSIZE + ENV_SLOT, "private parts fit");
#else
_Static_assert(sizeof(struct Env) == ENV_SLOT, "the table at UENVS has public parts only");
#endif
#endif

#endif
