/*
 * Waiting for console input and for interrupt lines.
 */
#ifndef JOS_KERN_WAITERS_H
#define JOS_KERN_WAITERS_H

#include <kern/env.h>

/* From now on e, which is about to wait, is woken when console input comes. false: there is some.
 * It stays so until the next wake-up, whatever e waits for (WAIT_CONS, or env_wait_arg is set). */
bool sched_wait_console(struct Env *e);
/* Wake all envs in WAIT_CONS, and monitors that asked for console input. From cons_intr; takes
 * their locks. */
void sched_wake_console(void);
/* Wake the env that waits for this interrupt line (WAIT_IRQ). From irq_dispatch; takes its lock. */
void sched_wake_irq(int irq);
/* Let no deadline and no interrupt wake e any more, which has ended. */
void sched_forget(struct Env *e);
/* The current env waits for an interrupt line: 0 if it has fired already, else does not return; the
 * call's result is 0, or -E_AGAIN after the deadline. */
int sched_wait_irq(int irq, uint64_t deadline);

#endif
