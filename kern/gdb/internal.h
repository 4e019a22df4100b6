/*
 * What the files of the gdb stub know of each other. Everything here is called by the CPU that
 * holds the stub, while all others stand still, unless it says otherwise.
 */
#ifndef JOS_KERN_GDB_INTERNAL_H
#define JOS_KERN_GDB_INTERNAL_H

#include <kern/cpu.h>
#include <kern/gdb/stub.h>
#include <inc/trap.h>

#define GDB_PACKET_MAX 2048

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

/* ---- packet.c: COM2 and the frames of the protocol ---- */
/* false: there is no COM2. */
bool gdb_port_init(void);
void gdb_port_intr_enable(void);
/* Is there a byte that nobody has read? */
bool gdb_port_has_byte(void);
/* What came in is a reason to stop: Ctrl-C, or the begin of the first packet of a new gdb, which
 * gdb_receive then reads on. 0: none. */
int gdb_port_look(void);
/* The next packet: its length, and the text with a NUL behind it in *text, valid until the next
 * call. Acknowledges it. The first packet of a gdb turns acknowledgements on. */
size_t gdb_receive(char **text);
/* No more acknowledgements, from the next packet on. */
void gdb_no_ack(void);
/* A packet is put together: begin, any of the others, end. */
void gdb_begin(void);
void gdb_printf(const char *fmt, ...);
void gdb_put_hex(const void *bytes, size_t n);
/* Text with the protocol's escapes. */
void gdb_put_binary(const char *s, size_t n);
void gdb_end(void);
/* Whole answers. */
void gdb_reply(const char *text);
void gdb_error(int number);
/* A hexadecimal number; *p is left behind it. */
uint64_t gdb_number(const char **p);
/* n bytes from 2 * n digits. false: they are not there. */
bool gdb_hex_bytes(const char *s, void *bytes, size_t n);

/* ---- regs.c ---- */
/* Note what a frame does not have, on the CPU itself. */
void gdb_regs_note(struct GdbCpu *c, bool swapped);
void gdb_read_all(struct GdbCpu *c);
void gdb_write_all(struct GdbCpu *c, const char *hex);
void gdb_read_one(struct GdbCpu *c, const char *args);
void gdb_write_one(struct GdbCpu *c, const char *args);
/* qXfer:features:read:target.xml:OFFSET,LENGTH. */
void gdb_features(const char *args);

/* ---- mem.c: memory as CPU c sees it ---- */
/* Copy; returns how many bytes, from the first on, are there. */
size_t gdb_mem_read(const struct GdbCpu *c, uint64_t va, void *buf, size_t n);
/* 0, GDB_EFAULT, or GDB_EACCES for a page of user memory that may be shared. All or nothing. */
int gdb_mem_write(const struct GdbCpu *c, uint64_t va, const void *buf, size_t n);

/* ---- break.c: breakpoints in memory and in debug registers ---- */
/* Z and z packets; the answer is 0 or an errno value, or -1: gdb is to do without. */
int gdb_break_change(const struct GdbCpu *c, bool set, int type, uint64_t va, uint64_t kind);
void gdb_break_forget_all(void);
/* Put them into memory before CPUs leave the stub; take them out, which needs no lock and calls
 * nothing that may have one itself. */
void gdb_break_insert(void);
void gdb_break_remove(void);
/* Is this address one of gdb's breakpoints in memory? */
bool gdb_break_at(uint64_t va);
/* On any CPU, for itself: load the debug registers; say what DR6 has found. */
void gdb_dr_load(void);
bool gdb_dr_hit(uint64_t dr6, uint64_t *watch, const char **kind);

/* ---- command.c ---- */
/* The dialogue while everything stands still, until gdb resumes: fills in the actions. tell: begin
 * with why c has stopped. */
void gdb_talk(struct GdbCpu *c, bool tell);
/* Run the command line that gdb sent for the kernel monitor, on the CPU that is to. */
void gdb_monitor_line(struct GdbCpu *c);
/* gdb has gone (detached): everything is to run as if there were none. */
extern bool gdb_attached;

#endif
