/*
 * The table of system calls.
 */
#ifndef JOS_KERN_SYSCALL_H
#define JOS_KERN_SYSCALL_H

#include <inc/syscall.h>

/* Enter the calls of a module that the kernel knows nothing of; NULL: not its own. At boot. */
void syscall_register(const void *const calls[NSYSCALLS]);

#endif
