/*
 * What crash reports say beyond the kernel's own frames: the user program's frames, and what the
 * other CPUs were doing when a panic stopped them.
 */
#ifndef JOS_KERN_CRASH_H
#define JOS_KERN_CRASH_H

#include <inc/trap.h>

struct Env;

/* Print the calls in the user code of e, which entered the kernel with tf, with names where its
 * program has them. Nothing may change e's page tables meanwhile (see user_peek). Guests, whose
 * registers are no user code's, are left out. */
void user_backtrace(const struct Env *e, const struct Trapframe *tf);
/* Stop the other CPUs for good, wherever they are, and wait (a limited time) until they stand. */
void crash_stop_cpus(void);
/* Print what the CPUs were doing that crash_stop_cpus was to stop. */
void crash_print_cpus(void);
/* From the handler of an NMI: if a panic asked for it, note where this CPU is and do not return. */
void crash_nmi(const struct Trapframe *tf);
/* This CPU panics, too, while another one does: it stands where it is. */
void crash_stand(uint64_t rip) __attribute__((noreturn));

/* With the command-line word `crashtest`: a panic, or an exception, in the kernel on behalf of the
 * current env, for tests of the report. -E_PERM without the word, -E_INVAL for another kind. */
int64_t sys_crash(int kind);

#endif
