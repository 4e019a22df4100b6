/*
 * A panic that an exception causes. The usual one is in inc/assert.h.
 */
#ifndef JOS_KERN_PANIC_H
#define JOS_KERN_PANIC_H

#include <inc/trap.h>

/* Panic because of an exception in the kernel: as panic(), with the registers of the frame, and a
 * backtrace from where it happened. */
void panic_trap(struct Trapframe *tf, const char *fmt, ...) __attribute__((noreturn));

#endif
