/*
 * Messages between envs: what the end of an env and guests need of them, and the system calls.
 */
#ifndef JOS_KERN_IPC_H
#define JOS_KERN_IPC_H

#include <kern/env.h>

/* Called when e, which is ENV_DYING, goes away: wakes its blocked senders and those who wait to
 * receive from it. env_table_lock is held. */
void ipc_env_gone(struct Env *e);
/* Take e, which is locked and has no CPU, off the senders of the env it waits for, if it is there.
 * false, and nothing is done: e was let go of in between. */
bool ipc_leave_senders(struct Env *e);
/*
 * IPC on behalf of the current env, a guest g in VMX_VMCALL_IPCSEND: send pp (NULL: no page) to the
 * file server `to`. Returns 0: delivered; 1: g was queued and blocked (WAIT_HOSTSEND), call
 * sched_yield; its result comes by the hook ipc_sent (kern/hooks.h); -E_*. Takes its own reference
 * on pp. A message to a guest is handed over by the hook ipc_deliver.
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

/* System calls; inc/lib.h has the contracts. */
int64_t sys_ipc_try_send(envid_t to, uint64_t value, uintptr_t srcva, uint64_t perm);
int64_t sys_ipc_send(envid_t to, uint64_t value, uintptr_t srcva, uint64_t perm);
int64_t sys_ipc_recv(uintptr_t dstva, envid_t from);
int64_t sys_ipc_reply_recv(envid_t to, uint64_t value, uintptr_t srcva, uint64_t perm,
                           uintptr_t dstva);
int64_t sys_ipc_try_recv(uintptr_t dstva);
int64_t sys_ipc_call(envid_t to, uint64_t value, uintptr_t srcva, uint64_t perm, uintptr_t dstva);

#endif
