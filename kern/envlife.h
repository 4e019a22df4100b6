/*
 * The life of an env: how it comes to be, whose child it is, and how it ends.
 */
#ifndef JOS_KERN_ENVLIFE_H
#define JOS_KERN_ENVLIFE_H

#include <kern/env.h>

/* Slots in use now. */
uint32_t env_nused(void);
/* A new env, ENV_NOT_RUNNABLE, with an empty address space (a guest gets none). -E_NO_FREE_ENV: no
 * slot is left for children of this parent; -E_NO_MEM. */
int env_alloc(struct Env **store, struct Env *parent, enum EnvType type);
/* End an env with this exit status: everything it holds is given back; a zombie stays until its
 * parent has read the status (none when it has no parent). Its guests, and children that it has not
 * started or has stopped, end with it. If it is the current env, does not return. */
void env_destroy(struct Env *e, int status);
/* End the env of this id as the system call does. -E_BAD_ENV; -E_PERM: it is vital, and neither the
 * caller nor its child. Does not return if it is the caller. */
int env_kill(envid_t id);
/* x87, SSE and extended registers of e, which is on no CPU: those of a new program. e is locked. */
void env_fpu_reset(struct Env *e);
/* Forget a zombie child whose status its parent has read. env_table_lock is held. */
void env_reap(struct Env *parent, struct Env *zombie);

#endif
