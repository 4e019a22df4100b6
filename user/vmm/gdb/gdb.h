/*
 * The parts of the monitor's gdb server: the serial port (port.c), registers
 * (regs.c), memory and breakpoints (mem.c), and the session itself (session.c). The
 * protocol is described in the manual of gdb, "gdb Remote Serial Protocol".
 */
#ifndef JOS_USER_VMM_GDB_GDB_H
#define JOS_USER_VMM_GDB_GDB_H

#include <inc/gdbpacket.h>
#include <user/vmm/common.h>

/* Error numbers in answers; gdb shows them. */
#define GDB_E_ARG   0x16 /* bad request */
#define GDB_E_FAULT 0x14 /* no memory there */
#define GDB_E_FULL  0x1c /* no free debug register */

/* ---- port.c ---- */
/* The serial port is gdb's line. */
void port_setup(void);
/* Take the next input: a whole packet whose checksum is right, a Ctrl-C, or nothing yet. */
enum GdbInput port_next(void);

/* ---- regs.c ---- */
/* Numbers of some registers. */
#define REG_RBP 6
#define REG_RSP 7
#define REG_RIP 16
/* The description of registers that gdb asks for, as XML. */
const char *regs_description(size_t *len);
/* Append register n to the answer. false: there is no such register. */
bool regs_put(const struct GuestDebugRegs *r, unsigned n);
/* Change register n to the hexadecimal digits at *s. false: bad digits, or not to be changed. */
bool regs_set(struct GuestDebugRegs *r, unsigned n, const char **s);

/* ---- mem.c ---- */
/* Debugged guest, without breakpoints; called before all others. */
void mem_setup(envid_t guest);
/* Read at linear address va of the stopped guest, as if no breakpoint were there. Returns the
 * bytes read before the first that is not memory. */
size_t mem_read(uint64_t va, void *buf, size_t n);
/* Write; read-only pages too. Returns how many bytes. */
size_t mem_write(uint64_t va, const void *buf, size_t n);

/* Kinds of breakpoints, as packets number them. */
enum GdbBreak {
    BREAK_SOFT,
    BREAK_HARD,
    WATCH_WRITE,
    WATCH_READ,
    WATCH_ACCESS,
};
/* Set a breakpoint or watchpoint (size: bytes watched), or remove it; twice is once. 0, or a
 * GDB_E_* number; -1: this kind does not exist here. */
int break_set(const struct GuestDebugRegs *r, enum GdbBreak kind, uint64_t va, unsigned size);
int break_clear(enum GdbBreak kind, uint64_t va, unsigned size);
void break_clear_all(void);
/* Is an INT3 of ours at va? */
bool break_is_ours(uint64_t va);
/* Take the INT3 at va away for a step, and put it back after it. */
void break_lift(uint64_t va);
void break_replant(void);
/* Of debug register n: its kind, or -1, and address. */
int break_of_register(unsigned n, uint64_t *va);

#endif
