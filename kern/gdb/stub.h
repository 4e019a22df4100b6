/*
 * The kernel's own gdb stub on COM2 (command-line word `gdb`), which speaks gdb's remote serial
 * protocol (GDB manual, "Remote Protocol"). Without the word nothing of it is on any path: the
 * exceptions that it needs then have their usual gates.
 */
#ifndef JOS_KERN_GDB_STUB_H
#define JOS_KERN_GDB_STUB_H

#include <inc/trap.h>

extern bool gdb_on; /* the word is there, and so is COM2 */

/* Set up the stub if the command line has the word, and wait for gdb unless it is `gdb=nowait`.
 * After trap_init and cpu_init of the boot CPU. */
void gdb_init(void);
/* Let COM2 interrupt, so that gdb can stop a kernel that runs. After platform_intr_init. */
void gdb_intr_enable(void);
/* A CPU other than the boot CPU starts: it gets gdb's debug registers. */
void gdb_cpu_start(void);
/* COM2's interrupt, acknowledged by a VM exit: as if it had come here. With its end of
 * interrupt. Returns false: the scheduler need not be asked. */
bool gdb_intr(void);
/* Stop in gdb because the kernel is at its end; tf is what an exception has interrupted, or NULL.
 * Returns when gdb lets it go on. */
void gdb_panic(struct Trapframe *tf);
/* From kern/trapentry.S, on a stack of its own: debug exception, breakpoint, NMI, COM2. swapped:
 * GS held user code's base. */
void gdb_trap(struct Trapframe *tf, bool swapped);
/* If gdb_on: the boot CPU, which COM2 interrupts, may spin with interrupts off. So the others look
 * at the port from time to time: when this one wants to (host TSC; the boot CPU: never), and the
 * look itself, which stops in gdb if a byte has waited since the last one. No locks are held. */
uint64_t gdb_look_deadline(void);
void gdb_look(void);
/* The debug registers have been a guest's on this CPU, and are no longer. */
void gdb_debug_registers(void);
/* A VM exit has cleared DR7 and TF (SDM "Loading Host Control Registers, Debug Registers, MSRs",
 * "Loading Host RIP, RSP, and RFLAGS"; APM 2 "#VMEXIT"): gdb's breakpoints are loaded again.
 * Returns whether this CPU steps. */
bool gdb_after_exit(void);
/* HOST_RIP while gdb_on: gives back what a VM exit takes away (debug registers, the step), and goes
 * on at asm_vmexit_entry. Not for calling. */
extern char gdb_vmexit_entry[];

#endif
