/*
 * Exceptions and interrupts.
 */
#ifndef JOS_KERN_TRAP_H
#define JOS_KERN_TRAP_H

#include <inc/trap.h>

/* From kern/trapentry.S, with the frame of what was interrupted. Returns only to a kernel frame. */
void trap(struct Trapframe *tf);
/* Handle an external interrupt (vector 32 to 255), acknowledged by hardware or by a VM exit.
 * Returns true if the scheduler should be asked. */
bool irq_dispatch(int vector);

#endif
