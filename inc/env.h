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

/* Has an env of this status not begun to end? */
static inline bool env_status_is_alive(uint32_t status)
{
    return status == ENV_RUNNABLE || status == ENV_RUNNING || status == ENV_NOT_RUNNABLE;
}

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

/*
 * What all envs see of an env: the fields of struct Env at UENVS. In the kernel, struct Env begins
 * with them and continues with what only the kernel sees (kern/env.h).
 */
#define ENV_PUBLIC                                                                      \
    envid_t env_id;                                                                     \
    envid_t env_parent_id;                                                              \
    envid_t env_family;  /* the first of those that it descends from, whoever of them   \
                          * still lives: a child of an env_vital one, which is what the \
                          * shell has started, or of nobody */                          \
    uint32_t env_type;   /* enum EnvType */                                             \
    uint32_t env_status; /* enum EnvStatus */                                           \
    uint32_t env_runs;   /* times it was given a CPU */                                 \
    uint32_t env_cpunum; /* CPU it runs on, or ran on last */                           \
    int32_t env_exit;    /* exit status, valid when ENV_ZOMBIE */                       \
    uint32_t env_pages;  /* frames mapped in user space, page tables not counted */     \
    uint64_t env_ticks;  /* TSC ticks spent running */                                  \
    char env_name[ENV_NAME_LEN];                                                        \
                                                                                        \
    uint32_t env_wait; /* what it waits for: enum EnvWait */                            \
    uint8_t env_marks; /* ENV_MARK_PAUSED; the others are the scheduler's own */

#define ENV_SLOT 1024 /* bytes from one env to the next at UENVS */

#define ENV_MARK_PAUSED (1 << 0) /* env_marks of a guest: is not given a CPU while this is set */

#ifndef JOS_KERNEL
struct Env {
    ENV_PUBLIC
} __attribute__((aligned(ENV_SLOT)));
_Static_assert(sizeof(struct Env) == ENV_SLOT, "the table at UENVS has public parts only");
#endif
#endif

#endif
