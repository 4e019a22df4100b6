/*
 * Exceptions and interrupts in C. An exception that an env causes is its own affair: a page fault
 * goes to its upcall, everything else ends it with words on the console. An exception in the kernel
 * is a bug, except in the functions that access user memory.
 */
#include <inc/assert.h>
#include <inc/error.h>
#include <inc/once.h>
#include <inc/stdio.h>
#include <inc/x86.h>
#include <kern/cpu.h>
#include <kern/crash.h>
#include <kern/dev/console.h>
#include <kern/dev/lapic.h>
#include <kern/dev/pic.h>
#include <kern/dev/serport.h>
#include <kern/env.h>
#include <kern/envlife.h>
#include <kern/flush.h>
#include <kern/gdb/stub.h>
#include <kern/panic.h>
#include <kern/sched.h>
#include <kern/spinlock.h>
#include <kern/sysenv.h>
#include <kern/trap.h>
#include <kern/trapentry.h>
#include <kern/trapframe.h>
#include <kern/uaccess.h>
#include <kern/waiters.h>
#include <kern/xstate.h>

/* ---- Exceptions of envs ---- */

static void end_env(struct Trapframe *tf, const char *more)
{
    cprintf("[%08x] %s: %s%s, rip %#lx, rsp %#lx: ended\n", curenv->env_id, curenv->env_name,
            trapname(tf->tf_trapno), more, tf->tf_rip, tf->tf_rsp);
    spin_lock(env_mem(curenv));
    user_backtrace(curenv, tf);
    spin_unlock(env_mem(curenv));
    env_destroy(curenv, EXIT_FAULT);
}

/* Where the frame for the upcall goes: below the one in use if the fault came on the exception
 * stack, or in the guard page below it (a handler that overflowed: no room, instead of anew from
 * the top for ever). */
static uintptr_t upcall_frame(const struct Trapframe *tf)
{
    uintptr_t top = UXSTACKTOP;

    if (tf->tf_rsp > USTACKTOP && tf->tf_rsp <= UXSTACKTOP)
        top = tf->tf_rsp - sizeof(uint64_t);
    return top - sizeof(struct UTrapframe);
}

static void page_fault(struct Trapframe *tf, uintptr_t va)
{
    uintptr_t frame = upcall_frame(tf);
    uintptr_t upcall = READ_ONCE(curenv->env_pgfault_upcall); /* its parent may change it now */
    struct UTrapframe utf = {
        .utf_fault_va = va,
        .utf_err = tf->tf_err,
        .utf_r15 = tf->tf_r15,
        .utf_r14 = tf->tf_r14,
        .utf_r13 = tf->tf_r13,
        .utf_r12 = tf->tf_r12,
        .utf_r11 = tf->tf_r11,
        .utf_r10 = tf->tf_r10,
        .utf_r9 = tf->tf_r9,
        .utf_r8 = tf->tf_r8,
        .utf_rbp = tf->tf_rbp,
        .utf_rdi = tf->tf_rdi,
        .utf_rsi = tf->tf_rsi,
        .utf_rdx = tf->tf_rdx,
        .utf_rcx = tf->tf_rcx,
        .utf_rbx = tf->tf_rbx,
        .utf_rax = tf->tf_rax,
        .utf_rip = tf->tf_rip,
        .utf_rflags = tf->tf_rflags,
        .utf_rsp = tf->tf_rsp,
    };
    char more[80];

    if (upcall && frame >= UXSTACKTOP - PGSIZE && copyout(frame, &utf, sizeof(utf)) == 0) {
        tf->tf_rip = upcall;
        tf->tf_rsp = frame;
        return;
    }
    snprintf(more, sizeof(more), " at %#lx (%s%s%s)%s", va, tf->tf_err & FEC_WR ? "write" : "read",
             tf->tf_err & FEC_ID ? ", instruction fetch" : "",
             tf->tf_err & FEC_PR ? ", forbidden by the page" : ", nothing mapped",
             upcall ? ", no room on the exception stack" : "");
    end_env(tf, more);
}

/* It is none if it comes of extended registers that this env can have. */
static void invalid_opcode(struct Trapframe *tf)
{
    const char *more;

    if (!xstate_take(curenv, &more))
        end_env(tf, more);
}

/* ---- Interrupts ---- */

bool irq_dispatch(int vector)
{
    switch (vector) {
    case T_TIMER:
        lapic_eoi();
        return sched_timer();
    case T_HVCONS:
        lapic_eoi();
        cons_intr();
        return sched_preempts();
    case T_HVPOWER:
        lapic_eoi();
        sysenv_press_power();
        return sched_preempts();
    case T_IPI_FLUSH:
        lapic_eoi();
        cpu_flush_poll();
        return false;
    case T_IPI_KICK:
        lapic_eoi();
        return true;
    case T_APIC_ERROR:
        lapic_eoi();
        return false;
    case T_APIC_SPUR:
        return false;
    }
    if (vector >= T_MSI && vector < T_MSI + NMSI) {
        lapic_eoi();
        sched_wake_irq(IRQ_MSI + vector - T_MSI);
        return sched_preempts();
    }
    int irq = vector - IRQ_OFFSET;
    if (irq < 0 || irq > IRQ_IDE2 || pic_is_spurious(irq))
        return false;
    if (irq == IRQ_KBD || irq == IRQ_SERIAL)
        do
            cons_intr();
        while (irq == IRQ_SERIAL && serport_intr());
    else if (irq == IRQ_IDE || irq == IRQ_IDE2)
        sched_wake_irq(irq);
    else if (irq == IRQ_SERIAL2)
        return gdb_intr();
    pic_eoi(irq);
    return sched_preempts();
}

static void kernel_trap(struct Trapframe *tf)
{
    uint64_t va = rcr2();

    if (tf->tf_trapno == T_PGFLT && tf->tf_rip >= (uint64_t)user_access_start &&
        tf->tf_rip < (uint64_t)user_access_end) {
        if (!user_access_recover(va, tf->tf_err))
            tf->tf_rip = (uint64_t)user_access_fault;
        return;
    }
    /* But for a panic's, ignored without a word: what it has interrupted may hold the console's
     * lock. */
    if (tf->tf_trapno == T_NMI) {
        crash_nmi(tf);
        return;
    }
    if (tf->tf_trapno == T_PGFLT)
        cprintf("page fault in the kernel at address %#lx\n", va);
    panic_trap(tf, "%s in the kernel at %#lx", trapname(tf->tf_trapno), tf->tf_rip);
}

void trap(struct Trapframe *tf)
{
    if (tf->tf_trapno >= IRQ_OFFSET) {
        /* The kernel itself, idle or after a guest's exit, asks the scheduler anyway; but first it
         * takes all interrupts that are there, since the next guest may keep them waiting. */
        if (irq_dispatch(tf->tf_trapno)) {
            if ((tf->tf_cs & 3) != 0)
                sched_yield();
            this_cpu()->cpu_sched_wanted = true;
        }
        sched_arm_timer();
        return;
    }
    if ((tf->tf_cs & 3) == 0 || tf->tf_trapno == T_NMI || tf->tf_trapno == T_DBLFLT ||
        tf->tf_trapno == T_MCHK) {
        kernel_trap(tf);
        return;
    }
    if (tf->tf_trapno == T_PGFLT)
        page_fault(tf, rcr2());
    else if (tf->tf_trapno == T_ILLOP)
        invalid_opcode(tf);
    else
        end_env(tf, "");
}
