/*
 * Queues of envs with a deadline (env_wake_tsc), earliest first: pairing heaps, so that neither an
 * insertion nor a removal costs more the more envs sleep. A queue is a pointer to its first env,
 * NULL when it is empty. The caller protects it.
 */
#ifndef JOS_KERN_TIMERQ_H
#define JOS_KERN_TIMERQ_H

#include <kern/env.h>

/* Add e, which is in no queue and has its env_wake_tsc. Constant time. */
void timerq_insert(struct Env **first, struct Env *e);
/* Take e out of the queue that it is in. Logarithmic time, averaged over many calls. */
void timerq_remove(struct Env **first, struct Env *e);

#endif
