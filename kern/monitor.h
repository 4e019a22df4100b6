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

#endif
