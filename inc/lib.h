/*
 * libjos: what user programs include. Everything returns 0 or more on success and -E_* on error
 * unless its comment says otherwise.
 */
#ifndef JOS_INC_LIB_H
#define JOS_INC_LIB_H

#include "cpufeatures.h"
#include "types.h"
#include "assert.h"
#include "env.h"
#include "error.h"
#include "fs.h"
#include "memlayout.h"
#include "mmu.h"
#include "stdio.h"
#include "string.h"
#include "syscall.h"
#include "trap.h"
#include "vmm.h"

/* lib/entry.S, lib/libmain.c: the kernel's tables, mapped read-only, and this env's own entry. */
extern const volatile struct Env *const envs; /* [NENV] */
extern const volatile struct PageInfo *const pages;
extern const volatile struct Env *thisenv;
extern const char *binaryname; /* argv[0] without directories */

/* Each program's own. The return value becomes the exit status. */
int umain(int argc, char **argv);
/* Close all files and end with this status (0 to 255). */
void exit(int status) __attribute__((noreturn));
/* Exit status of a program that panicked. */
#define EXIT_PANIC 134

/* This env's page tables (UVPT is a recursive mapping in PML4 slot 2). Returns the PTE of va, 0 if
 * no page table covers it. */
uint64_t uvpt_entry(uintptr_t va);
/* First mapped page at or after va (page-aligned); UTOP if there is none. */
uintptr_t uvpt_next(uintptr_t va);

/* ---- System calls (lib/syscall.c). envid 0 means the caller wherever an env is named. ---- */

/* Write len bytes to the console. -E_FAULT. */
int sys_cputs(const char *s, size_t len);
/* Next console character. wait = 0: 0 if there is none; wait = 1: sleeps until there is one. */
int sys_cgetc(bool wait);
/* Say what Ctrl-C is to be, until the next call: CONS_CLAIM_*. The last claim counts of all those
 * whose envs live. -E_INVAL. */
int sys_cons_claim(unsigned claim);
envid_t sys_getenvid(void);
/* End an env (status EXIT_KILLED), the caller's child or not. -E_BAD_ENV; -E_PERM for the file
 * server, init, and what init has started (the shell), unless they are the caller or its child. */
int sys_env_destroy(envid_t env);
/* End the caller with a status of 0 to 255. Does not return. */
int sys_env_exit(int status);
/* Wait for a child (0: any) to end; its status goes to *status unless that is NULL. Returns its id;
 * 0 with nohang when none has ended. -E_BAD_ENV: no such child. For init, -E_POWER: the power
 * button was pressed (once for each time). -E_INTR: so was Ctrl-C, which the caller has claimed
 * (CONS_CLAIM_INTERRUPT). */
envid_t sys_env_wait(envid_t child, int *status, bool nohang);
/* Name of the caller or of a child, for ps. Truncated to ENV_NAME_LEN - 1. */
int sys_env_set_name(envid_t env, const char *name);
/* Map a zeroed page at va of env (self or child); perm: PTE_U | PTE_P, and any of PTE_W, PTE_NX,
 * PTE_AVAIL; with PERM_PAGES(n), n pages from va on, or none. -E_BAD_ENV, -E_INVAL, -E_NO_MEM. */
int sys_page_alloc(envid_t env, void *va, uint64_t perm);
/* Map srcva of srcenv at dstva of dstenv. -E_INVAL also if perm has PTE_W and srcva is not
 * writable. */
int sys_page_map(envid_t srcenv, void *srcva, envid_t dstenv, void *dstva, uint64_t perm);
/* Unmap; it is no error if nothing is mapped. */
int sys_page_unmap(envid_t env, void *va);
/* Give a child the caller's pages of [from, to) at the same addresses: PTE_SHARE and read-only ones
 * as they are, the others copy-on-write on both sides. Stops where the 2 MiB region of `from` ends.
 * -E_BAD_ENV: no child; -E_INVAL: not page-aligned, or beyond UTOP; -E_NO_MEM. */
int sys_page_fork(envid_t child, void *from, void *to);
/* A new child with the caller's registers, no memory, ENV_NOT_RUNNABLE. Returns its id to the
 * caller and 0 to the child. Inline in fork.c, since it must not return through a stack the child
 * lacks. */
static inline envid_t sys_exofork(void);
int sys_env_set_status(envid_t env, int status); /* ENV_RUNNABLE or ENV_NOT_RUNNABLE */
/* Registers of a child; the kernel forces user segments and flags, and those of x87, SSE and AVX
 * become those of a new program. For a guest: the general registers and RIP it starts with. */
int sys_env_set_trapframe(envid_t env, const struct Trapframe *tf);
int sys_env_set_pgfault_upcall(envid_t env, void *upcall);
void sys_yield(void);
/* Send to an env that is receiving right now. page >= UTOP: value only. perm as sys_page_alloc,
 * PERM_PAGES included. -E_IPC_NOT_RECV, -E_BAD_ENV, -E_INVAL; this one also if the receiver has no
 * room for so many pages. */
int sys_ipc_try_send(envid_t to, uint64_t value, void *page, uint64_t perm);
/* The same, but sleeps until the receiver takes it. -E_BAD_ENV also if it dies meanwhile. */
int sys_ipc_send(envid_t to, uint64_t value, void *page, uint64_t perm);
/* What a message is, besides its page. */
struct IpcMessage {
    uint64_t value;
    uint64_t perm; /* PTE_* of what was mapped, and its PERM_PAGES; 0: no page came */
    envid_t from;
};
/* Sleep until a message comes from `from` (0: anybody); a page it carries is mapped at dstva (>=
 * UTOP: not wanted), which may be an IPC_ROOM for several. The message is in *m (m may be NULL) if
 * the result is 0. -E_BAD_ENV: `from` does not exist or died. */
int sys_ipc_recv(void *dstva, envid_t from, struct IpcMessage *m);
/* Take a message that somebody waits to deliver. -E_AGAIN: there is none. */
int sys_ipc_try_recv(void *dstva, struct IpcMessage *m);
/* sys_ipc_send and sys_ipc_recv(dstva, to, m) in one. */
int sys_ipc_call(envid_t to, uint64_t value, void *page, uint64_t perm, void *dstva,
                 struct IpcMessage *m);
/* A server's step: unmap the last request's pages at dstva, send to `to` if it is receiving (else
 * the answer is dropped; bad arguments are errors), then sys_ipc_recv(dstva, 0, m). */
int sys_ipc_reply_recv(envid_t to, uint64_t value, void *page, uint64_t perm, void *dstva,
                       struct IpcMessage *m);
/* Milliseconds since the kernel started. */
uint64_t sys_time_msec(void);
/* Seconds since the beginning of 1970, UTC, as the machine's real-time clock had it. */
int64_t sys_time_unix(void);
int sys_sleep_msec(uint64_t msec);
int sys_sysinfo(struct SysInfo *info);
/* The kernel's command line, terminated; at most size bytes. Returns its length. */
int sys_cmdline(char *buf, size_t size);
/* End the machine (in gOS: the guest) with a status of 0 to 255. Call sync() first. */
int sys_poweroff(int status);
/*
 * Devices for drivers in envs: ENV_TYPE_FS only (-E_PERM), since a device can read and write all of
 * memory. It is told physical addresses, which uvpt_entry has, of pages that the env keeps mapped.
 *
 * Take the nth PCI function of bus 0 with PCI_DEVICE_ID id, and let it answer, be a bus master and
 * send messages. Returns its handle. -E_NOT_FOUND; -E_BUSY: another driver has it, or
 * too many are open; -E_FAULT. */
struct PciDevice;
int sys_pci_open(uint32_t id, unsigned nth, struct PciDevice *d);
/* Map a memory BAR of whole pages, at most PCI_MAP_MAX, uncached; again, the same address. NULL:
 * there is no such device, or BAR, or memory for it. */
void *sys_pci_map(int device, unsigned bar);
/* A new interrupt line for the device: returns its number, for sys_irq_wait, and the message that
 * the driver is to write into the device's MSI-X table. -E_INVAL, -E_BUSY: none is left, -E_FAULT.
 */
struct PciMessage;
int sys_pci_irq(int device, struct PciMessage *m);
/* ENV_TYPE_FS only: sleep until interrupt line irq (IRQ_IDE, IRQ_IDE2, or a device's own) has fired
 * since the last call, at most timeout_ms. 0: fired, -E_AGAIN: time is up. */
int sys_irq_wait(int irq, uint64_t timeout_ms);
int sys_null(void);
/* Can this machine run guests? 0, or -E_NOT_SUPP with the reason and what to do instead in why
 * (whysize bytes). */
int sys_guest_check(char *why, size_t whysize);
/* A new guest, child of the caller, with memsize bytes of memory (multiple of 4 KiB, GUEST_MEM_MIN
 * to GUEST_MEM_MAX; gpas GUEST_HOLE_START to 4 GiB are skipped) that starts at gpa entry as the
 * Multiboot specification says. ENV_NOT_RUNNABLE. Returns its id. -E_INVAL, -E_NO_MEM,
 * -E_NO_FREE_ENV; -E_NOT_SUPP: this machine cannot run guests, and the reason is in why (whysize
 * bytes). */
envid_t sys_env_mkguest(uint64_t memsize, gpa_t entry, int flags, char *why, size_t whysize);
/* Features of the CPU that this guest, which has not run yet, is not to have; what needs one of
 * them it has not, either. Replaces what an earlier call said. -E_BAD_ENV; -E_BUSY: it has run;
 * -E_INVAL: no feature, or one that a guest needs (inc/cpufeatures.h). */
int sys_guest_features(envid_t guest, const struct CpuWords *off);
/* Give the page at srcva of srcenv (self) to the caller's guest at gpa; perm: PTE_P | PTE_U, and
 * any of PTE_W and PTE_NX (which the second stage keeps). -E_BAD_ENV: not the caller's guest.
 * -E_INVAL: alignment, perm, gpa outside of the guest's memory, srcva not mapped, PTE_W wanted and
 * srcva not writable. -E_NO_MEM. */
int sys_ept_map(envid_t srcenv, void *srcva, envid_t guest, gpa_t gpa, uint64_t perm);
/* From now on the caller's page at `page` (struct GuestShared), which it can write to, tells what
 * its guest's stops are about, takes the answers, and collects a UART's output. Once for each
 * guest. -E_BAD_ENV: not the caller's guest; -E_INVAL: alignment, not mapped, or not writable;
 * -E_BUSY: there is one already. */
int sys_guest_share(envid_t guest, void *page);
/* Answer the exit that the caller's guest is stopped at (if it is), let it run, and sleep until its
 * next event, which is returned (enum GuestEvent); with console != 0, console input is an event
 * too. A message that waits to be taken (sys_ipc_try_recv) is one as well. -E_BAD_ENV: no such
 * guest. -E_INVAL: no page is shared. */
int sys_guest_run(envid_t guest, bool console);
/* Raise an interrupt vector (32 to 255) in the guest's virtual local APIC. */
int sys_guest_irq(envid_t guest, int vector);
/* A message-signaled interrupt for the guest: this data, written to this address. 0 also if the
 * destination names none of its CPUs, or its local APIC is disabled. -E_BAD_ENV: not the caller's
 * guest. -E_INVAL: the address is not 0xfeeXXXXX, the delivery mode is not fixed, lowest priority
 * or NMI, or the vector is below 16. */
int sys_guest_msi(envid_t guest, uint64_t address, uint32_t data);
/* While the guest is stopped for GUEST_EV_MMIO: access size bytes (1, 2, 4 or 8) at this offset of
 * the page of its local APIC, as its own instruction would. The value that is read; 0 for a write.
 * -E_BAD_ENV. -E_AGAIN: it is not stopped so. -E_INVAL: no such offset or size, or it has no such
 * page now. */
int64_t sys_guest_apic(envid_t guest, uint32_t offset, unsigned size, bool write, uint64_t value);
/* Copy len bytes between buf and the guest's memory at gpa. -E_FAULT: buf; -E_INVAL: not all of it
 * is guest memory; -E_NO_MEM. Untouched guest memory reads as zeroes; a page of it that is written
 * whole costs no more than the copy. */
int sys_guest_mem(envid_t guest, gpa_t gpa, void *buf, size_t len, bool write);
/* Map the frame that the caller's guest has at gpa at the caller's va, too, and replace what was
 * mapped there; an untouched page gets its frame now. perm: PTE_P | PTE_U, and any of PTE_W and
 * PTE_NX, which is always set. The caller keeps this frame when the guest gets another one at gpa;
 * the shared page's `replaced` tells that this may have happened. -E_BAD_ENV: not the caller's
 * guest. -E_INVAL: alignment, perm, gpa is no RAM, or PTE_W and the guest itself may not write
 * there. -E_NO_MEM. */
int sys_guest_map(envid_t guest, gpa_t gpa, void *va, uint64_t perm);
/* While the caller's guest is stopped for an access to memory (GUEST_EV_MMIO): the gpa that an
 * access (GUEST_READ ...; with GUEST_USER: by user-mode code) to its linear address va would reach.
 * -E_FAULT: it raises a page fault, whose error code and address are now in the shared page's
 * fault_error and fault_address. -E_BAD_ENV: not the caller's guest; -E_AGAIN: it is not stopped
 * so; -E_INVAL: access. */
int64_t sys_guest_walk(envid_t guest, uint64_t va, uint32_t access);
/* Counters of any guest, whoever owns it. -E_BAD_ENV, -E_FAULT. */
int sys_guest_stats(envid_t guest, struct GuestStats *stats);
/* From now on keep the last n exits of the caller's guest, which has not been entered yet.
 * -E_BAD_ENV; -E_INVAL: n is not 1 to GUEST_TRACE_MAX; -E_BUSY: it has been entered, or is traced
 * already; -E_NO_MEM. */
int sys_guest_trace_start(envid_t guest, size_t n);
/* Exits of any traced guest, whoever owns it: at most n, the oldest first, beginning with number
 * *first (exits count from 0) or, if that is no longer kept, with the oldest that is; *first
 * becomes the number of the first one given. Returns how many. -E_BAD_ENV; -E_NOT_FOUND: not
 * traced; -E_FAULT. */
int64_t sys_guest_trace(envid_t guest, uint64_t *first, struct GuestTraceEntry *entries, size_t n);
/* The call chain of any guest, innermost frame first: at most n frames. Of one that could not go
 * on, where that was. Returns how many; 0: it has not run. -E_AGAIN: it has a CPU just now, which a
 * paused guest gives up; -E_BAD_ENV, -E_FAULT. */
int64_t sys_guest_backtrace(envid_t guest, struct GuestFrame *frames, size_t n);
/* Pause any guest, or let it go on. A paused guest is not entered, whatever happens; it may still
 * be inside for the moment that its CPU needs to leave it. Its clock and timers do not stop: what
 * came due meanwhile arrives when it goes on. -E_BAD_ENV: no such guest. */
int sys_guest_pause(envid_t guest, bool paused);
/* Debug the caller's guest, which was made with GUEST_DEBUG: it starts stopped, with the event
 * GUEST_EV_DEBUG, and stops so again as enum GuestDebugStop says, until it is let go on by one of
 * the operations for that. inc/vmm.h says what each enum GuestDebugOp takes and returns. All but
 * GUEST_DEBUG_STOP need a guest that is stopped so (-E_AGAIN). -E_BAD_ENV: no such guest of the
 * caller's; -E_PERM: made without GUEST_DEBUG; -E_FAULT: buf; -E_INVAL. */
int64_t sys_guest_debug(envid_t guest, enum GuestDebugOp op, uint64_t arg, void *buf);
/* Take the serial port COM3 until the caller ends. A monitor's sys_guest_run returns when the port
 * has input. -E_BUSY: another env has it; -E_NOT_SUPP: this machine has none. */
int sys_serial_open(void);
/* What has come there, at most size bytes and maybe none; does not wait. Returns how many. -E_PERM:
 * the caller does not have the port; -E_FAULT. */
ssize_t sys_serial_read(void *buf, size_t size);
/* Send len bytes there. Returns len. -E_PERM, -E_FAULT; -E_IO: the port does not send. */
ssize_t sys_serial_write(const void *buf, size_t len);
/* gOS's file server only: the hypercalls VMX_VMCALL_IPCSEND and IPCRECV with this env's page. */
int sys_host_ipc_send(uint64_t value, void *page, uint64_t perm);
int64_t sys_host_ipc_recv(void *page);
/* Let the kernel crash (CRASH_*), to test its report. -E_PERM without the word `crashtest` on its
 * command line. */
int sys_crash(int kind);

static inline envid_t __attribute__((always_inline)) sys_exofork(void)
{
    envid_t ret;
    asm volatile("syscall" : "=a"(ret) : "a"(SYS_exofork) : "rcx", "r11", "memory");
    return ret;
}

/* ---- lib/ipc.c ---- */
/* Send and wait until it is taken; panics only on a bad argument of the program's own. */
void ipc_send(envid_t to, uint64_t value, void *page, uint64_t perm);
/* Receive; *from and *perm may be NULL. Returns the value, or -E_* when the call fails. */
int64_t ipc_recv(envid_t *from, void *page, uint64_t *perm);
/* First env of a type, 0 if there is none. */
envid_t ipc_find_env(enum EnvType type);
/* gOS: ask hOS's file server (the lab's names for the hypercalls). */
int ipc_host_send(uint64_t value, void *page, uint64_t perm);
int64_t ipc_host_recv(void *page);

/* ---- lib/envs.c: what the table of envs tells ---- */
/* Is there an env of this id that has not ended? */
bool env_alive(envid_t id);
/* Name of an env, in buf of ENV_NAME_LEN bytes; "?" if it is gone. */
void env_get_name(envid_t id, char *buf);
/* Living guest of this name other than `but`; 0: none. */
envid_t guest_named(const char *name, envid_t but);

/* ---- lib/pgfault.c, lib/fork.c, lib/spawn.c, lib/wait.c ---- */
void set_pgfault_handler(void (*handler)(struct UTrapframe *utf));
/* Copy-on-write child. PTE_SHARE pages stay shared. Returns as Unix fork does. */
envid_t fork(void);
/* Start a program from a file with arguments (argv ends with NULL). Open files are inherited.
 * Returns the child's id, running. -E_NOT_FOUND, -E_NOT_EXEC, ... and nothing is left behind. */
envid_t spawn(const char *path, const char **argv);
envid_t spawnl(const char *path, const char *arg0, ...);
/* Sleep until the child ends; returns its exit status (0 to 255) or -E_BAD_ENV. */
int wait(envid_t child);

/* ---- lib/malloc.c ---- */
void *malloc(size_t size);
void *calloc(size_t n, size_t size);
void *realloc(void *p, size_t size);
void free(void *p);

/* ---- Files: lib/fd.c dispatches to lib/file.c, lib/pipe.c, lib/console.c ---- */
#define MAXFD 32
struct Stat {
    off_t st_size;
    bool st_isdir;
    uint32_t st_blocks;
    const struct Dev *st_dev;
};
/*
 * One page each at FDTABLE, shared between parent and child. The page of a pipe's end or of the
 * console is read-only for everybody, so its contents can be trusted. An open file's is writable,
 * and by that it is known as one: all who have the file may move the offset, and nothing else in
 * the page counts. Which file it is, is known to the server by the page itself (inc/fs.h).
 */
struct Fd {
    uint32_t fd_dev_id; /* read-only page: 'p' pipe, 'c' console */
    uint32_t fd_omode;  /* read-only page: O_ACCMODE bits */
    off_t fd_offset;    /* writable page */
};
int open(const char *path, int mode);
/* Open a disk image for writing, as open does. -E_BUSY: guest *holder uses it. */
int open_image(const char *path, int mode, envid_t *holder);
int close(int fd);
void close_all(void);
ssize_t read(int fd, void *buf, size_t n);
/* read until n bytes or end of file */
ssize_t readn(int fd, void *buf, size_t n);
ssize_t write(int fd, const void *buf, size_t n);
/* write until all n bytes are out. 0 or the error. */
int writen(int fd, const void *buf, size_t n);
int seek(int fd, off_t offset);
int dup(int oldfd, int newfd);
/* Programs that are spawned from now on do not get this descriptor. */
int fd_keep(int fd);
int fstat(int fd, struct Stat *st);
int stat(const char *path, struct Stat *st);
int ftruncate(int fd, off_t size);
int remove(const char *path);
int mkdir(const char *path);
int sync(void);
int statfs(uint64_t *blocks_total, uint64_t *blocks_free);
/* Give an image file to the caller's guest as a disk. Returns its handle, for guest_disk_ask.
 * -E_BUSY: another guest or program uses one of the files. -E_INVAL: the file has no size that a
 * disk can have. */
struct GuestAttach {
    const char *path;
    const char *base; /* not NULL: path holds only what the guest has written (it is created when
                       * missing), and the rest is read from this image file */
    envid_t guest;
    uint32_t use;   /* enum GuestDiskUse */
    uint64_t limit; /* bytes that it may take of the host's; 0: as many as it has */
    envid_t holder; /* after -E_BUSY: the guest that uses the file, or 0 */
    uint64_t size;  /* of the disk in bytes, on success */
};
int guest_attach(struct GuestAttach *a);
/* A request FSREQ_DISK_VALUE for a disk of the caller's guest, or of its parent's, which was
 * attached for its monitor, with n pages (1 to PERM_PAGES_MAX) of writable memory of the caller's
 * own. Answer: see inc/fs.h. */
int guest_disk_ask(uint64_t value, void *pages, unsigned n);
/* What any guest's disk of this number takes and may take. -E_NOT_FOUND: it has none. */
int guest_disk(envid_t guest, uint32_t number, struct GuestDiskInfo *info);
int pipe(int fds[2]);
bool pipeisclosed(int fd);
/* Is fd the reading end of a pipe from which nothing will ever come? */
bool pipe_at_end(int fd);
bool iscons(int fd);
int opencons(void);

/* Formatted output to a file; cprintf goes to the console whatever fd 1 is. */
int printf(const char *fmt, ...);
int fprintf(int fd, const char *fmt, ...);
/* A line on fd 2, after the program's name. */
void warn(const char *fmt, ...);
/* One character from fd 0 / to fd 1; getchar returns -E_EOF at the end. */
int getchar(void);
int putchar(int c);

/* ---- lib/usage.c: what a program is called with ----
 * USAGE("ls [-l] [PATH...]"); in a program: `-h` alone prints it, and ends the program with 0.
 * Further lines of the text are printed as they are. */
#define USAGE(text) const char usage_text[] = text
extern const char usage_text[];
/* Print it on fd 2. Returns the exit status of wrong usage, 2. */
int usage(void);

/* ---- lib/args.c: option parsing in the manner of POSIX getopt ---- */
extern char *optarg;
extern int optind, optopt;
int getopt(int argc, char *const argv[], const char *optstring);
/* Number with an optional K, M, G or T suffix (powers of 1024). -E_INVAL on anything else. */
int parse_size(const char *s, uint64_t *value);

#endif
