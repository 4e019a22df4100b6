/*
 * The parts of the monitor `vmm` and what they share: the boot image and where it goes in guest
 * memory, the console, the devices behind I/O ports, and the one guest that a monitor owns.
 */
#ifndef JOS_USER_VMM_MON_H
#define JOS_USER_VMM_MON_H

#include <inc/lib.h>
#include <inc/multiboot.h>

#define KIB 1024ul
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

/* End of the memory that a PC's first 640 KiB are, and begin of the one above 1 MiB. */
#define LOWMEM_END 0xa0000ul
#define EXTMEM     0x100000ul

/* A sentence about what went wrong, on file descriptor 2. */
#define complain(fmt, ...) fprintf(2, "vmm: " fmt "\n", ##__VA_ARGS__)

/* ---- image.c: what a kernel file holds, checked before anything is started ---- */

#define MAX_SEGMENTS 32

/* A stretch of guest memory and where its first filesz bytes come from; the rest is zero. */
struct Segment {
    gpa_t gpa;
    uint64_t memsz;
    uint64_t filesz;
    off_t offset; /* in the file */
};

struct Image {
    const char *path;
    int fd; /* open for reading; -1: not open */
    uint64_t size;
    gpa_t entry; /* physical address of the first instruction */
    unsigned nsegs;
    struct Segment segs[MAX_SEGMENTS]; /* ascending, apart from each other, inside guest memory */
};

/* Open a kernel file and check it in full for a guest with memsize bytes. Returns 0, or -E_* after
 * a sentence about the fault; then nothing stays open. */
int image_open(struct Image *im, const char *path, uint64_t memsize);
/* Open any regular file. Returns its descriptor and its size, or -E_* after a sentence. */
int open_regular(const char *path, uint64_t *size);
/* Does [gpa, gpa + len) lie in the RAM of a guest with memsize bytes? */
bool gpa_is_ram(gpa_t gpa, uint64_t len, uint64_t memsize);
/* RAM below the hole, and RAM from 4 GiB on, of a guest with memsize bytes. */
uint64_t ram_below_hole(uint64_t memsize);
uint64_t ram_above_hole(uint64_t memsize);

/* ---- elf.c, aout.c: the two ways in which an image says where it goes ---- */

/* Fill segs and entry from ELF headers. head: the file's first n bytes. 0, or -E_* after a
 * sentence. */
int elf_segments(struct Image *im, const uint8_t *head, size_t n);
/* The same from the address fields of the Multiboot header found at offset off. */
int kludge_segments(struct Image *im, const struct MultibootHeader *mb, uint32_t off);
bool is_elf(const uint8_t *head, size_t n);

/* ---- load.c: into guest memory ---- */

#define MAX_MODULES 16

struct Module {
    const char *string; /* the argument of -i: path, then anything for the guest */
    char path[MAXPATHLEN];
    int fd;
    uint64_t size;
    gpa_t gpa; /* page aligned */
};

/* What a guest starts with. */
struct Boot {
    uint64_t memsize;
    const char *cmdline;
    struct Image kernel;
    unsigned nmods;
    struct Module mods[MAX_MODULES];
    gpa_t info; /* gpa of the multiboot information */
    size_t info_size;
};

/* Open the modules and choose a place above the kernel for each. 0, or -E_* after a sentence. */
int modules_open(struct Boot *b);
/* Load the kernel's segments. 0 or -E_*. */
int copy_guest_kern_gpa(envid_t guest, const struct Image *im);
/* Load the modules. 0 or -E_*. */
int modules_load(envid_t guest, const struct Boot *b);
/* Put filesz bytes of file fd from fileoffset on at gpa. What a page holds beyond them is zero; the
 * pages up to memsz that the file does not reach are left to demand-zero. A page that starts before
 * gpa keeps what it has there, so segments are to be loaded in ascending order. 0 or -E_*. */
int map_in_guest(envid_t guest, gpa_t gpa, size_t memsz, int fd, size_t filesz, off_t fileoffset);
/* Close the files that are open. */
void boot_close(struct Boot *b);

/* ---- guest.c ---- */

/* Ask the kernel for a guest with b's memory size and entry point, and these GUEST_* flags; this
 * env is its owner. Returns its id, or -E_* after a sentence. */
envid_t make_guest(const struct Boot *b, int flags);

/* ---- mbi.c: multiboot information ---- */

/* Build it and choose its place in b->info. 0, or -E_* after a sentence. */
int mbi_plan(struct Boot *b);
/* Put it into guest memory. 0 or -E_*. */
int mbi_load(envid_t guest, const struct Boot *b);

/* ---- console.c: the guest's console ---- */

/* Where input comes from and output goes to is decided here: the console, or a file or pipe. */
void cons_setup(void);
/* Was vmm started in the background? The shell gives such programs an input that has ended. */
bool cons_in_background(void);
/* Is console input an event for the monitor? */
bool cons_wanted(void);
/* Find that out anew, after everything that may have changed who has the console. */
void cons_look(void);
/* Take what the console has. Returns false if the user wants the console back. */
bool cons_take(void);
/* Next input byte, -1: none. With ask, a file or pipe is read (and a pipe waited for). */
int cons_next(bool ask);
/* Input into buf, asked for: n bytes, fewer only if there is no more. Returns how many. (A guest
 * takes a full buffer as a sign to come back when it wants more; that is what paces a file.) */
size_t cons_read(char *buf, size_t n);
/* Has input that the guest did not take yet. */
bool cons_pending(void);
/* Output, collected into lines. */
void cons_put(const char *s, size_t n);
void cons_flush(void);
/* Formatted output of the monitor's own, in between the guest's. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The output so far does not end with a newline. */
bool cons_mid_line(void);
/* Flush, and begin a new line unless the guest's output ended with one. */
void cons_fresh_line(void);

/* ---- attach.c: who has the host's console ---- */

/* What a client asks a monitor for, by sys_ipc_call: the host's console is the guest's while the
 * client waits for the answer. */
#define MON_ATTACH 1
/* Answers: the console was given back; the guest has ended with status MON_STATUS(answer); or
 * -E_BUSY, -E_INVAL. */
#define MON_DETACHED      1
#define MON_ENDED(status) (2 | (uint64_t)(status) << 8)
#define MON_STATUS(value) ((int)((value) >> 8 & 0xff))

/* The monitor's side. Attached from the start to the env that waits for this monitor. */
void attach_start(envid_t client);
/* Does the host's console belong to this guest? Only as long as the client lives. */
bool attached(void);
/* And did the client ask for it, rather than start this monitor? */
bool attached_on_request(void);
/* Show output if somebody is attached (on_console: it is not written elsewhere), and keep it. */
void attach_output(const char *s, size_t n, bool on_console);
/* Answer a message. */
void attach_message(envid_t from, uint64_t value);
/* Give the console back, with this answer. */
void attach_end(uint64_t answer);

/* ---- control.c: the user's side of several guests ---- */

/* Run the subcommand that argv names (vmm attach, ...). -1: it is none. Returns the exit status. */
int control(int argc, char **argv);
/* May a guest have this name? It is the name of a file, too. */
bool name_ok(const char *name);
/* Leave the console to a new monitor of this process's, until it is given back or the guest ends.
 * Returns the exit status. */
int attend(envid_t monitor, const char *name);

/* ---- dev/uart.c: a 16550 at COM1 ---- */

uint8_t uart_in(uint16_t port);
void uart_out(uint16_t port, uint8_t v);

/* ---- dev/bus.c: I/O ports ---- */

/* Carry out the I/O instruction that the guest is stopped at; the answer is in *x. */
void ports_io(struct GuestExit *x);
/* Accesses to ports that no device has. */
uint64_t ports_unknown(void);

/* ---- report.c: a guest that was ended ---- */

/* Say on file descriptor 2 where the guest was, and its trace or at least its last exit. */
void report_end(envid_t guest);

/* ---- run.c: the event loop ---- */

/* Run the guest to its end, and print the reason unless it powered off. Returns the exit status. */
int run_guest(envid_t guest, const char *name);
/* From a handler: end the guest after this event. With why == NULL there is nothing to
 * explain: it powered off with status, or a sentence was printed. */
void end_guest(int status, const char *why, ...) __attribute__((format(printf, 2, 3)));

/* ---- session.c: a debugger for the guest (-g) ---- */

/* Take the serial port for the guest's debugger. 0, or -E_* after a sentence. */
int gdb_open(envid_t guest, const char *name);
/* GUEST_EV_SERIAL and GUEST_EV_DEBUG. */
void gdb_input(void);
void gdb_stopped(const struct GuestExit *x);
/* The guest has ended, and if not with a status of its own, badly. */
void gdb_ended(int status, bool badly);

/* ---- stats.c ---- */

/* Print the counters (-s). */
void stats_print(const struct GuestStats *st, uint64_t unknown_ports);

#endif
