/*
 * The kernel monitor: a command line in the kernel, entered by a panic or by the console's break.
 */
#ifndef JOS_KERN_MONITOR_H
#define JOS_KERN_MONITOR_H

#include <inc/trap.h>

/* Read and run commands until "continue" or "exit". tf: what was interrupted, or NULL. */
void monitor(struct Trapframe *tf);
/* Print the call chain from rbp on: function, file and line. */
void backtrace(uint64_t rip, uint64_t rbp);

#endif
