/*
 * Trap numbers and the saved-register frames that kernel and user code share.
 */
#ifndef JOS_INC_TRAP_H
#define JOS_INC_TRAP_H

/* Exceptions: SDM "Exception and Interrupt Reference". */
#define T_DIVIDE  0
#define T_DEBUG   1
#define T_NMI     2
#define T_BRKPT   3
#define T_OFLOW   4
#define T_BOUND   5
#define T_ILLOP   6
#define T_DEVICE  7
#define T_DBLFLT  8
#define T_TSS     10
#define T_SEGNP   11
#define T_STACK   12
#define T_GPFLT   13
#define T_PGFLT   14
#define T_FPERR   16
#define T_ALIGN   17
#define T_MCHK    18
#define T_SIMDERR 19

/* External interrupts: 8259 lines from IRQ_OFFSET on, then the local APIC's own. */
#define IRQ_OFFSET   32
#define IRQ_KBD      1
#define IRQ_SERIAL2  3 /* COM2, of the gdb stub */
#define IRQ_SERIAL   4
#define IRQ_SPURIOUS 7
#define IRQ_IDE      14
#define IRQ_IDE2     15
#define IRQ_MSI      16 /* for sys_irq_wait: messages, from T_MSI on */
#define T_TIMER      48 /* local APIC timer */
#define T_HVCONS     49 /* gOS: the monitor has console input */
#define T_IPI_FLUSH  50 /* TLB / EPT flush request */
#define T_IPI_KICK   51 /* look at the run queue */
#define T_HVPOWER    52 /* gOS: its power button was pressed */
#define T_MSI        53 /* messages of devices that envs drive, NMSI of them */
#define T_APIC_ERROR 62
#define T_APIC_SPUR  63
#define T_SYSCALL    0x100 /* trap number of a frame saved by SYSCALL entry */

#define NMSI 8

#define TRAP_VECTORS 64 /* the IDT has gates for vectors 0 to 63 */

#ifndef __ASSEMBLER__
#include "types.h"

/* Saved registers. The hardware pushes the part from tf_err (or tf_rip) on; kern/trapentry.S pushes
 * the rest. While an env is in the kernel its frame is Env.env_tf itself: interrupts and SYSCALL
 * save there directly, so nothing is copied. */
struct Trapframe {
    uint64_t tf_r15, tf_r14, tf_r13, tf_r12, tf_r11, tf_r10, tf_r9, tf_r8;
    uint64_t tf_rbp, tf_rdi, tf_rsi, tf_rdx, tf_rcx, tf_rbx, tf_rax;
    uint64_t tf_trapno;
    uint64_t tf_err;
    uint64_t tf_rip;
    uint64_t tf_cs;
    uint64_t tf_rflags;
    uint64_t tf_rsp;
    uint64_t tf_ss;
};
_Static_assert(sizeof(struct Trapframe) == 176, "trapentry.S and 16-byte alignment rely on it");

/* What the kernel puts on the exception stack before it calls a page-fault upcall. If the fault
 * came while the exception stack was in use, one 8-byte word is left free above it (for the return
 * RIP). */
struct UTrapframe {
    uint64_t utf_fault_va;
    uint64_t utf_err; /* FEC_* */
    uint64_t utf_r15, utf_r14, utf_r13, utf_r12, utf_r11, utf_r10, utf_r9, utf_r8;
    uint64_t utf_rbp, utf_rdi, utf_rsi, utf_rdx, utf_rcx, utf_rbx, utf_rax;
    uint64_t utf_rip;
    uint64_t utf_rflags;
    uint64_t utf_rsp;
};
_Static_assert(sizeof(struct UTrapframe) == 160, "lib/pfentry.S relies on it");
#endif

#endif
