/*
 * Exceptions and interrupts.
 */
#ifndef JOS_KERN_TRAP_H
#define JOS_KERN_TRAP_H

#include <inc/trap.h>

#define TRAP_STUB_SIZE 16 /* of an entry in kern/trapentry.S */
#define IST_NMI        1  /* NMI and machine check have this stack */

/* Fill the IDT, which all CPUs share. */
void trap_init(void);
/* Give a vector, while only one CPU runs, another entry and interrupt stack (an index of the TSS's
 * IST; 0: none). */
void trap_set_gate(int vector, const char *entry, int ist);
/* From kern/trapentry.S, with the frame of what was interrupted. Returns only to a kernel frame. */
void trap(struct Trapframe *tf);
/* Handle an external interrupt (vector 32 to 255), acknowledged by hardware or by a VM exit.
 * Returns true if the scheduler should be asked. */
bool irq_dispatch(int vector);
void print_trapframe(const struct Trapframe *tf);
/* Panic because of an exception in the kernel (kern/panic.c). */
void panic_trap(struct Trapframe *tf, const char *fmt, ...) __attribute__((noreturn));
const char *trapname(int trapno);
/* Load the registers of an env and go to user mode (kern/trapentry.S). */
void env_pop_tf(struct Trapframe *tf) __attribute__((noreturn));

#endif
