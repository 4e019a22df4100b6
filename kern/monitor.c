/*
 * The kernel monitor: a few commands that look at the kernel, one table entry each. It takes no
 * locks, since it also runs when the kernel has stopped in the middle of something.
 */
#include <inc/stdio.h>
#include <inc/string.h>
#include <kern/backtrace.h>
#include <kern/cpu.h>
#include <kern/dev/clock.h>
#include <kern/dev/poweroff.h>
#include <kern/env.h>
#include <kern/frame.h>
#include <kern/hooks.h>
#include <kern/kaddr.h>
#include <kern/monitor.h>
#include <kern/platform.h>
#include <kern/trapframe.h>

#define MAX_ARGS 8
#define KIB      1024ul
#define BLANKS   " \t\r\n"

enum Next {
    STAY,
    LEAVE,
};

struct Command {
    const char *name;
    const char *help;
    enum Next (*run)(int argc, char **argv, struct Trapframe *tf);
};

extern const char text_start[], text_end[], rodata_start[], data_start[], kernel_end[];

static enum Next cmd_backtrace(int argc, char **argv, struct Trapframe *tf)
{
    (void)argc, (void)argv;
    if (tf) {
        backtrace(tf->tf_rip, tf->tf_rbp, tf->tf_rsp);
    } else {
        const uint64_t *frame = __builtin_frame_address(0);
        backtrace(frame[1], frame[0], 0);
    }
    return STAY;
}

/* ---- Memory ---- */

static enum Next cmd_mem(int argc, char **argv, struct Trapframe *tf)
{
    (void)argc, (void)argv, (void)tf;
    const struct MultibootInfo *mbi = platform_mbi();
    const struct MultibootMmap *m = KADDR(mbi->mmap_addr);

    cprintf("frames: %lu free of %lu (%lu KiB of %lu KiB)\n", page_nfree(), page_ntotal(),
            page_nfree() * (PGSIZE / KIB), page_ntotal() * (PGSIZE / KIB));
    cprintf("memory map:\n");
    for (uint32_t i = 0; i < mbi->mmap_length / sizeof(*m); i++)
        cprintf("  %016lx-%016lx %s\n", m[i].addr, m[i].addr + m[i].len - 1,
                m[i].type == MBMMAP_AVAILABLE ? "available" : "reserved");
    return STAY;
}

static void print_range(const char *name, const char *from, const char *to)
{
    cprintf("  %-8s %016lx-%016lx %6lu KiB\n", name, (uint64_t)from, (uint64_t)to - 1,
            (size_t)(to - from + KIB - 1) / KIB);
}

static enum Next cmd_kerninfo(int argc, char **argv, struct Trapframe *tf)
{
    (void)argc, (void)argv, (void)tf;
    cprintf("kernel image:\n");
    print_range("text", text_start, text_end);
    print_range("rodata", rodata_start, data_start);
    print_range("data+bss", data_start, kernel_end);
    cprintf("role: %s, TSC: %lu kHz, up %lu ms\ncommand line: %s\n", is_guest ? "gOS" : "hOS",
            tsc_khz, tsc_khz ? (read_tsc() - boot_tsc) / tsc_khz : 0, boot_cmdline);
    return STAY;
}

/* ---- Environments and registers ---- */

static const char *const status_names[] = {
    [ENV_FREE] = "free",       [ENV_RUNNABLE] = "runnable",
    [ENV_RUNNING] = "running", [ENV_NOT_RUNNABLE] = "waiting",
    [ENV_DYING] = "dying",     [ENV_ZOMBIE] = "zombie",
};
static const char *const type_names[] = {
    [ENV_TYPE_USER] = "user",
    [ENV_TYPE_FS] = "fs",
    [ENV_TYPE_INIT] = "init",
    [ENV_TYPE_GUEST] = "guest",
};

static const char *name_of(const char *const *names, size_t n, uint32_t i)
{
    return i < n && names[i] ? names[i] : "?";
}

static enum Next cmd_envs(int argc, char **argv, struct Trapframe *tf)
{
    (void)argc, (void)argv, (void)tf;
    cprintf("id       parent   status   type   pages      runs rip              name\n");
    for (const struct Env *e = envs; e < envs + NENV; e++) {
        if (e->env_status == ENV_FREE)
            continue;
        cprintf("%08x %08x %-8s %-5s %6u %9u %016lx %s\n", e->env_id, e->env_parent_id,
                name_of(status_names, ARRAY_SIZE(status_names), e->env_status),
                name_of(type_names, ARRAY_SIZE(type_names), e->env_type), e->env_pages, e->env_runs,
                e->env_tf.tf_rip, e->env_name);
    }
    return STAY;
}

static enum Next cmd_regs(int argc, char **argv, struct Trapframe *tf)
{
    (void)argc, (void)argv;
    if (!tf && curenv)
        tf = &curenv->env_tf;
    if (tf)
        print_trapframe(tf);
    cprintf("cr0 %016lx cr2 %016lx\ncr3 %016lx cr4 %016lx\n", rcr0(), rcr2(), rcr3(), rcr4());
    return STAY;
}

static enum Next cmd_vmcs(int argc, char **argv, struct Trapframe *tf)
{
    (void)tf;
    if (guest_hooks.print_state)
        guest_hooks.print_state(argc > 1 && strcmp(argv[1], "copy") == 0);
    return STAY;
}

static enum Next cmd_vmstat(int argc, char **argv, struct Trapframe *tf)
{
    (void)tf;
    if (guest_hooks.print_exits)
        guest_hooks.print_exits(argc > 1 ? strtol(argv[1], NULL, 0) : 0);
    return STAY;
}

/* ---- Control ---- */

static enum Next cmd_poweroff(int argc, char **argv, struct Trapframe *tf)
{
    (void)tf;
    platform_poweroff(argc > 1 ? (int)strtol(argv[1], NULL, 0) : 0);
}

static enum Next cmd_continue(int argc, char **argv, struct Trapframe *tf)
{
    (void)argc, (void)argv, (void)tf;
    return LEAVE;
}

static enum Next cmd_help(int argc, char **argv, struct Trapframe *tf);

static const struct Command commands[] = {
    { "help", "this list", cmd_help },
    { "backtrace", "the call chain: address, function, file and line", cmd_backtrace },
    { "mem", "free and total memory, and the machine's memory map", cmd_mem },
    { "envs", "all environments", cmd_envs },
    { "regs", "registers of what was interrupted, and control registers", cmd_regs },
    { "vmcs", "[copy]: all fields of this CPU's current VMCS; copy them for gdb", cmd_vmcs },
    { "vmstat", "[N]: exits of all guests by reason, and the last N of those traced", cmd_vmstat },
    { "kerninfo", "where the kernel lies, and how it was started", cmd_kerninfo },
    { "poweroff", "[status]: end the machine", cmd_poweroff },
    { "continue", "go on with what was interrupted", cmd_continue },
    { "exit", "the same", cmd_continue },
};

static enum Next cmd_help(int argc, char **argv, struct Trapframe *tf)
{
    (void)argc, (void)argv, (void)tf;
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
        cprintf("%-10s %s\n", commands[i].name, commands[i].help);
    return STAY;
}

/* Split a line in place at blanks. Returns the number of words, at most MAX_ARGS. */
static int split(char *line, char **argv)
{
    int argc = 0;

    for (char *p = line; argc < MAX_ARGS;) {
        while (*p && strchr(BLANKS, *p))
            *p++ = '\0';
        if (!*p)
            break;
        argv[argc++] = p;
        while (*p && !strchr(BLANKS, *p))
            p++;
    }
    return argc;
}

static enum Next run_line(char *line, struct Trapframe *tf)
{
    char *argv[MAX_ARGS];
    int argc = split(line, argv);

    if (argc == 0)
        return STAY;
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
        if (strcmp(argv[0], commands[i].name) == 0)
            return commands[i].run(argc, argv, tf);
    cprintf("%s: unknown command; `help` lists those that there are\n", argv[0]);
    return STAY;
}

void monitor(struct Trapframe *tf)
{
    char *line;

    cprintf("\nKernel monitor. `help` lists the commands.\n");
    while ((line = readline("K> ")))
        if (run_line(line, tf) == LEAVE)
            return;
}

void monitor_run(char *line, struct Trapframe *tf)
{
    if (run_line(line, tf) == LEAVE)
        cprintf("Only gdb can resume the kernel.\n");
}
