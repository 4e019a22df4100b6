/*
 * Interrupted code in words.
 */
#ifndef JOS_KERN_TRAPFRAME_H
#define JOS_KERN_TRAPFRAME_H

#include <inc/trap.h>

void print_trapframe(const struct Trapframe *tf);
const char *trapname(int trapno);

#endif
