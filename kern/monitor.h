/*
 * The kernel monitor: a command line in the kernel, entered by a panic or by the console's break.
 */
#ifndef JOS_KERN_MONITOR_H
#define JOS_KERN_MONITOR_H

#include <inc/trap.h>

/* Read and run commands until "continue" or "exit". tf: what was interrupted, or NULL. */
void monitor(struct Trapframe *tf);
/* Run one command line, which is changed; its output goes where cprintf's does. */
void monitor_run(char *line, struct Trapframe *tf);
/* Print the call chain from rbp on: function, file and line. */
void backtrace(uint64_t rip, uint64_t rbp, uint64_t rsp);
/* Panic because of an exception in the kernel (kern/panic.c): as panic(), with the registers of the
 * frame, and a backtrace from where it happened. */
void panic_trap(struct Trapframe *tf, const char *fmt, ...) __attribute__((noreturn));

#endif
