/*
 * Interrupted code in words.
 */
#include <inc/stdio.h>
#include <inc/trap.h>
#include <kern/trapframe.h>

static const char *const trap_names[] = {
    [T_DIVIDE] = "divide error",
    [T_DEBUG] = "debug exception",
    [T_NMI] = "non-maskable interrupt",
    [T_BRKPT] = "breakpoint",
    [T_OFLOW] = "overflow",
    [T_BOUND] = "BOUND range exceeded",
    [T_ILLOP] = "invalid opcode",
    [T_DEVICE] = "device not available",
    [T_DBLFLT] = "double fault",
    [T_TSS] = "invalid TSS",
    [T_SEGNP] = "segment not present",
    [T_STACK] = "stack-segment fault",
    [T_GPFLT] = "general protection fault",
    [T_PGFLT] = "page fault",
    [T_FPERR] = "x87 floating-point error",
    [T_ALIGN] = "alignment check",
    [T_MCHK] = "machine check",
    [T_SIMDERR] = "SIMD floating-point exception",
};

const char *trapname(int trapno)
{
    if (trapno >= 0 && trapno < (int)ARRAY_SIZE(trap_names) && trap_names[trapno])
        return trap_names[trapno];
    if (trapno == T_SYSCALL)
        return "system call";
    return trapno >= IRQ_OFFSET ? "hardware interrupt" : "reserved exception";
}

void print_trapframe(const struct Trapframe *tf)
{
    cprintf("  rax %016lx  rbx %016lx  rcx %016lx  rdx %016lx\n", tf->tf_rax, tf->tf_rbx,
            tf->tf_rcx, tf->tf_rdx);
    cprintf("  rsi %016lx  rdi %016lx  rbp %016lx  rsp %016lx\n", tf->tf_rsi, tf->tf_rdi,
            tf->tf_rbp, tf->tf_rsp);
    cprintf("  r8  %016lx  r9  %016lx  r10 %016lx  r11 %016lx\n", tf->tf_r8, tf->tf_r9, tf->tf_r10,
            tf->tf_r11);
    cprintf("  r12 %016lx  r13 %016lx  r14 %016lx  r15 %016lx\n", tf->tf_r12, tf->tf_r13,
            tf->tf_r14, tf->tf_r15);
    cprintf("  rip %016lx  cs %04lx  ss %04lx  rflags %08lx  trap %ld (%s)  error %#lx\n",
            tf->tf_rip, tf->tf_cs, tf->tf_ss, tf->tf_rflags, tf->tf_trapno, trapname(tf->tf_trapno),
            tf->tf_err);
}
