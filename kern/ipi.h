/*
 * Requests to other CPUs, by interrupt.
 */
#ifndef JOS_KERN_IPI_H
#define JOS_KERN_IPI_H

#include <kern/cpu.h>

/* Make CPU c drop its cached translations, put down the VMCS that is wanted from it, and (if it
 * runs a guest) leave the guest; returns when it has. */
void cpu_flush_remote(struct Cpu *c);
/* Make CPU c look at the run queue. */
void cpu_kick(struct Cpu *c);

#endif
