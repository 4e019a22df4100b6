/*
 * The loader's inside: contracts between its C files and boot/entry.S. All of it runs in 32-bit
 * protected mode with flat segments, paging and interrupts off.
 */
#ifndef JOS_BOOT_LOADER_H
#define JOS_BOOT_LOADER_H

#include <boot/boot.h>
#include <inc/multiboot.h>

/* ---- boot/boot.S, boot/boot.ld ---- */
extern uint8_t boot_drive;              /* BIOS number of the disk we came from */
extern char image_cmdline[SECTOR_SIZE]; /* CMDLINE_MAGIC and text */
extern struct ImageHeader image_header; /* as in the image */
extern uint8_t bios_data[256];          /* the BIOS data area */
extern uint8_t bounce[0x10000];         /* disk buffer, within reach of real mode */
extern uint16_t vga_text[];             /* the colour text screen */
extern volatile uint32_t a20_probe, a20_alias;

/* ---- boot/entry.S ---- */
/* Registers of a BIOS call, in the order of PUSHFL and PUSHAL; see bios_call. */
struct BiosRegs {
    uint32_t edi, esi, ebp, esp, ebx, edx, ecx, eax;
    uint32_t eflags;
};
_Static_assert(sizeof(struct BiosRegs) == 36, "bios_call pushes and pops it");
#define BIOS_CARRY 0x1 /* eflags: the call failed */

extern struct BiosRegs bios_regs;
/* INT vector in real mode, registers from and to bios_regs; DS = ES = 0, so buffers are below 64
 * KiB. */
void bios_call(uint32_t vector);
/* Multiboot's hand-over: EAX = magic, EBX = info. Does not return. */
void kernel_start(uint32_t entry, const struct MultibootInfo *info) __attribute__((noreturn));

/* ---- boot/console.c: screen and COM1 ---- */
void console_init(void);
/* Write text; '\n' ends a line. Conversions: %s, %d (uint32_t, decimal), %x (uint64_t,
 * hexadecimal). */
void say(const char *fmt, ...);
/* Say what is wrong, as a sentence. Ends a graded run's machine, then halts for good. */
void fail(const char *fmt, ...) __attribute__((noreturn));
/* Wait until the serial line has sent everything. */
void console_flush(void);
/* Is this word in the kernel's command line? */
bool cmdline_has(const char *word);

/* ---- boot/memory.c ---- */
/* Make addresses with bit 20 set reach their own memory. */
void a20_enable(void);
/* Ask the BIOS for the memory map (INT 15h, E820) and keep it. */
void memory_detect(void);
/* Is all of [start, end) usable RAM, and nothing of it reserved? */
bool memory_usable(uint64_t start, uint64_t end);
/* Fill in the fields of info that describe memory. */
void memory_describe(struct MultibootInfo *info);

/* ---- boot/string.c: as in ISO C; the compiler calls them too ---- */
void *memcpy(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);

/* ---- boot/disk.c ---- */
/* Copy len bytes from offset off of the kernel's file to dst. The range lies in the file. */
void kernel_read(void *dst, uint32_t off, uint32_t len);

/* ---- boot/elf.c ---- */
/* Check the kernel, put it in memory, clear its bss. Returns its entry point. */
uint32_t kernel_load(void);

#endif
