/*
 * The end of the kernel's wisdom: stop the other CPUs, say what happened, then stay in the monitor,
 * or power off when nobody is there to use it: in a graded run, and when no key has ever come while
 * the word `kdb` does not announce somebody.
 */
#include <inc/assert.h>
#include <inc/stdio.h>
#include <inc/x86.h>
#include <kern/backtrace.h>
#include <kern/cmdline.h>
#include <kern/cpu.h>
#include <kern/crash.h>
#include <kern/dev/console.h>
#include <kern/dev/poweroff.h>
#include <kern/gdb/stub.h>
#include <kern/hooks.h>
#include <kern/monitor.h>
#include <kern/panic.h>
#include <kern/trapframe.h>

#define PANIC_STATUS 99 /* of the power-off */
#define NO_CPU       (~0u)
#define LAST_EXITS   8 /* of each guest that is traced */

static uint32_t
    depth; /* panics under way; each stage of the report tries less than the one before */
static uint32_t panicking = NO_CPU; /* the CPU that reports */

/* Is this CPU's struct Cpu set up? */
static bool cpu_known(void)
{
    return rdmsr(MSR_GS_BASE) != 0;
}

static void print_who(void)
{
    if (!cpu_known())
        return;
    cprintf("on CPU %u", this_cpu()->cpu_num);
    if (curenv)
        cprintf(", in env %08x (%s)", curenv->env_id, curenv->env_name);
    cprintf("\n");
}

/* The first CPU that panics reports; another one stands where it is. */
static void take_the_word(uint64_t rip)
{
    uint32_t nobody = NO_CPU, me = cpu_known() ? this_cpu()->cpu_num : 0;

    if (__atomic_compare_exchange_n(&panicking, &nobody, me, false, __ATOMIC_SEQ_CST,
                                    __ATOMIC_SEQ_CST))
        return;
    if (nobody != me)
        crash_stand(rip);
}

/* What a report tells beyond the message. */
static void print_surroundings(void)
{
    if (!cpu_known())
        return;
    if (curenv)
        user_backtrace(curenv, &curenv->env_tf);
    crash_print_cpus();
    if (guest_hooks.print_exits)
        guest_hooks.print_exits(LAST_EXITS);
}

static bool somebody_is_there(void)
{
    if (cmdline_word("graded", NULL, 0))
        return false;
    return cons_was_typed_at() || cmdline_word("kdb", NULL, 0);
}

/* Where a panic comes from. */
struct Origin {
    const char *file; /* NULL: from an exception */
    int line;
    struct Trapframe *tf; /* of the exception, or NULL */
    uint64_t rip, rbp;    /* where the backtrace starts */
};

static void print_message(const struct Origin *from, const char *fmt, va_list ap)
{
    cprintf(depth > 1 ? "\npanic within a panic" : "\nkernel panic");
    if (from->file)
        cprintf(" at %s:%d", from->file, from->line);
    cprintf(": ");
    vcprintf(fmt, ap);
    cprintf("\n");
}

static void __attribute__((noreturn)) stay(struct Trapframe *tf)
{
    for (;;) {
        monitor(tf);
        cprintf("The kernel cannot go on after a panic; `poweroff` ends it.\n");
    }
}

static void __attribute__((noreturn)) report(const struct Origin *from, const char *fmt, va_list ap)
{
    asm volatile("cli");
    take_the_word(from->rip);
    cons_panic_mode();
    if (++depth == 1 && cpu_known() && !gdb_on) /* gdb stops the others, and lets them go on */
        crash_stop_cpus();
    if (depth <= 2)
        print_message(from, fmt, ap);
    if (depth == 1) {
        print_who();
        if (from->tf)
            print_trapframe(from->tf);
        backtrace(from->rip, from->rbp, from->tf ? from->tf->tf_rsp : 0);
        print_surroundings();
        gdb_panic(from->tf);
    }
    if (depth > 1 || !somebody_is_there())
        platform_poweroff(PANIC_STATUS);
    depth = 0; /* a panic of the monitor's is a new one */
    stay(from->tf);
}

void panic_at(const char *file, int line, const char *fmt, ...)
{
    const uint64_t *frame = __builtin_frame_address(0); /* our caller's RBP, our return address */
    struct Origin from = { .file = file, .line = line, .rip = frame[1], .rbp = frame[0] };
    va_list ap;

    va_start(ap, fmt);
    report(&from, fmt, ap);
}

void panic_trap(struct Trapframe *tf, const char *fmt, ...)
{
    struct Origin from = { .tf = tf, .rip = tf->tf_rip, .rbp = tf->tf_rbp };
    va_list ap;

    va_start(ap, fmt);
    report(&from, fmt, ap);
}
