/*
 * What kern/trapentry.S offers to C.
 */
#ifndef JOS_KERN_TRAPENTRY_H
#define JOS_KERN_TRAPENTRY_H

#include <inc/trap.h>

#define TRAP_STUB_SIZE 16 /* of an entry in trap_stubs and gdb_stubs */
#define IST_NMI        1  /* NMI and machine check have this stack */

extern const char trap_stubs[]; /* one for each vector */
extern const char gdb_stubs[];  /* in the order of gdb_vectors (kern/gdb/stub.c) */
extern const char syscall_entry[];
/* The code that may touch user memory, and where it goes on after a fault. */
extern const char user_access_start[], user_access_end[], user_access_fault[];

/* Load the registers of an env and go to user mode. */
void env_pop_tf(struct Trapframe *tf) __attribute__((noreturn));
/* Copy from or to user memory. 0; else how many bytes were not copied. */
size_t user_copy(void *dst, const void *src, size_t len);
/* The length of the string with its NUL, at most size; -1: a fault. */
ssize_t user_copystr(char *dst, const char *src, size_t size);

#endif
