/*
 * A CPU in the gdb stub.
 */
#ifndef JOS_KERN_GDB_CPU_H
#define JOS_KERN_GDB_CPU_H

#include <inc/trap.h>
#include <kern/cpu.h>

/* gdb's numbers of signals (GDB manual, "Stop Reply Packets"; its own, not the system's). */
#define GDB_SIGINT  2
#define GDB_SIGTRAP 5
#define GDB_SIGABRT 6
#define GDB_SIGSEGV 11

/* errno values in `E` answers, as gdb prints them. */
#define GDB_EPERM  1
#define GDB_EACCES 13
#define GDB_EFAULT 14
#define GDB_EINVAL 22
#define GDB_ENOSPC 28

enum GdbState {
    GDB_RUNS,  /* outside of the stub */
    GDB_STOPS, /* stands in the stub */
    GDB_GOES,  /* may leave the stub */
};

enum GdbAction {
    GDB_STAY,
    GDB_CONTINUE,
    GDB_STEP,
};

/* One CPU in the stub: its registers beside those of the frame, and what it is to do. */
struct GdbCpu {
    volatile uint32_t state; /* enum GdbState */
    struct Trapframe *tf;
    uint64_t cr0, cr2, cr3, cr4, efer, fs_base, gs_base, kernel_gs_base;
    uint32_t ds, es, fs, gs, env;
    uint64_t saved_dr[4], saved_dr7; /* debug registers at its arrival */
    bool stepping;
    enum GdbAction action; /* chosen by the packet that resumes */
    int signal;            /* why it stops; 0: only because others did */
    uint64_t watch;        /* address of the watchpoint that it hit, if watch_kind */
    const char *watch_kind;
    volatile bool command_due; /* it is to run gdb_monitor_line */
};

extern struct GdbCpu gdb_cpus[NCPU];

/* Is CPU i in the stub? */
static inline bool gdb_cpu_stands(uint32_t i)
{
    return i < NCPU && gdb_cpus[i].state == GDB_STOPS;
}

#endif
