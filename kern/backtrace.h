/*
 * The kernel's own call chain.
 */
#ifndef JOS_KERN_BACKTRACE_H
#define JOS_KERN_BACKTRACE_H

#include <inc/types.h>

/* First byte of a function that makes a frame: PUSH RBP. gcc makes none in leaf functions, whose
 * return address is then on top of the stack, and RBP is their caller's. */
#define INSN_PUSH_RBP 0x55

/* Print the call chain from rbp on: function, file and line. rsp, if it is not 0, is that of the
 * code at rip. */
void backtrace(uint64_t rip, uint64_t rbp, uint64_t rsp);

#endif
