/*
 * Crash reports. A panic stops the other CPUs by NMI, which reaches them also where they spin with
 * interrupts off or run a guest; from then on nothing changes, and no locks are needed to look
 * around.
 */
#include <inc/assert.h>
#include <inc/error.h>
#include <inc/mmu.h>
#include <inc/stdio.h>
#include <inc/syscall.h>
#include <inc/x86.h>
#include <kern/backtrace.h>
#include <kern/cmdline.h>
#include <kern/cpu.h>
#include <kern/crash.h>
#include <kern/dev/clock.h>
#include <kern/dev/lapic.h>
#include <kern/env.h>
#include <kern/kdebug.h>

#define MAX_USER_FRAMES 32
#define STOP_WAIT_MS    100

static volatile bool stopping; /* a panic has asked all other CPUs to stand */

/* Where a CPU was when it was stopped. */
static struct Stand {
    volatile bool stands;
    bool user; /* in user code */
    uint64_t rip;
} stands[NCPU];

/* ---- Frames of user code ---- */

static void print_user_frame(const struct Env *e, uint64_t rip, bool is_return)
{
    struct UserRip info;

    /* A return address may be the first byte after the function that calls. */
    if (debuginfo_user(e, rip - is_return, &info))
        cprintf("  %016lx %s+0x%lx (%s:%u)\n", rip, info.fn, info.offset + is_return, info.file,
                info.line);
    else
        cprintf("  %016lx ?\n", rip);
}

/* The function where it happened may have no frame of its own. */
static void print_user_caller_of_leaf(const struct Env *e, const struct Trapframe *tf)
{
    struct UserRip info;
    uint64_t caller;
    uint8_t first;

    if (debuginfo_user(e, tf->tf_rip, &info) &&
        user_peek(e, tf->tf_rip - info.offset, &first, sizeof(first)) && first != INSN_PUSH_RBP &&
        user_peek(e, tf->tf_rsp, &caller, sizeof(caller)) && debuginfo_user(e, caller - 1, &info))
        print_user_frame(e, caller, true);
}

void user_backtrace(const struct Env *e, const struct Trapframe *tf)
{
    uint64_t rbp = tf->tf_rbp, frame[2]; /* caller's RBP, return address */

    if (e->env_type == ENV_TYPE_GUEST)
        return;
    cprintf("user backtrace of %08x (%s):\n", e->env_id, e->env_name);
    print_user_frame(e, tf->tf_rip, tf->tf_trapno == T_SYSCALL);
    print_user_caller_of_leaf(e, tf);
    for (int i = 0; i < MAX_USER_FRAMES; i++) {
        if (rbp % sizeof(rbp) != 0 || !user_peek(e, rbp, frame, sizeof(frame)) || frame[1] >= UTOP)
            return;
        print_user_frame(e, frame[1], true);
        if (frame[0] <= rbp)
            return;
        rbp = frame[0];
    }
}

/* ---- The other CPUs ---- */

static void __attribute__((noreturn)) stand(uint64_t rip, bool user)
{
    struct Stand *s = &stands[this_cpu()->cpu_num];

    s->rip = rip;
    s->user = user;
    s->stands = true;
    for (;;)
        asm volatile("cli; hlt");
}

void crash_nmi(const struct Trapframe *tf)
{
    if (stopping)
        stand(tf->tf_rip, (tf->tf_cs & 3) != 0);
}

void crash_stand(uint64_t rip)
{
    stand(rip, false);
}

void crash_stop_cpus(void)
{
    uint64_t end = read_tsc() + tsc_khz * STOP_WAIT_MS;

    stopping = true;
    for (uint32_t i = 0; i < ncpu; i++) {
        if (&cpus[i] == this_cpu())
            continue;
        lapic_send_nmi(cpus[i].cpu_apicid);
        while (!stands[i].stands && read_tsc() < end)
            cpu_pause();
    }
}

void crash_print_cpus(void)
{
    struct RipInfo info;

    for (uint32_t i = 0; stopping && i < ncpu; i++) {
        const struct Cpu *c = &cpus[i];
        const struct Env *e = c->cpu_env;
        if (c == this_cpu())
            continue;
        cprintf("CPU %u: ", i);
        if (e)
            cprintf("env %08x (%s), ", e->env_id, e->env_name);
        if (!stands[i].stands)
            cprintf("does not stop\n");
        else if (stands[i].user)
            cprintf("in user code at %#lx\n", stands[i].rip);
        else if (debuginfo_rip(stands[i].rip, &info))
            cprintf("in %s (%s:%u)\n", info.fn, info.file, info.line);
        else
            cprintf("at %#lx\n", stands[i].rip);
    }
}

/* ---- For tests ---- */

int64_t sys_crash(int kind)
{
    static const struct Pseudodesc no_idt;

    if (!cmdline_word("crashtest", NULL, 0))
        return -E_PERM;
    if (kind == CRASH_PANIC)
        panic("as env %08x has asked for", curenv->env_id);
    if (kind == CRASH_SPIN && this_cpu()->cpu_num != 0)
        return -E_AGAIN;
    if (kind == CRASH_SPIN)
        cprintf("CPU 0 spins\n");
    while (kind == CRASH_SPIN)
        cpu_pause();
    if (kind == CRASH_TRIPLE)
        asm volatile("lidt %0" : : "m"(no_idt));
    if (kind == CRASH_FAULT || kind == CRASH_TRIPLE)
        asm volatile("ud2");
    return -E_INVAL;
}
