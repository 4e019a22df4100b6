/*
 * What the boot sector, the loader and conf/kernimg agree on: the layout of kernel.img and of low
 * memory. kernel.img is one flat disk; boot.img, its head, is one link (boot/boot.ld, which sets
 * the addresses).
 *
 *   offset  sector          memory
 *   0x000   0               0x7c00  boot sector (boot/boot.S)
 *   0x200   CMDLINE_SECTOR  0x7e00  kernel command line: CMDLINE_MAGIC, then at most 503
 *                                   characters and a NUL
 *   0x400   HEADER_SECTOR   0x8000  struct ImageHeader: where the kernel is
 *   0x600   3               0x8200  loader (boot/entry.S and the C files), whole sectors
 *   ...     kernel_sector           the kernel's ELF64 file, then zeroes up to a multiple of
 *                                   16 heads * 63 sectors (what Bochs' flat disks need)
 *
 * The boot sector reads everything up to the kernel in one go. The rest of low memory:
 *
 *   0x00500-0x07c00  stack, of real mode and protected mode alike
 *   0x07c00-0x10000  boot.img and the loader's bss, all within reach of real-mode segment 0
 *   0x10000-0x20000  disk buffer
 */
#ifndef JOS_BOOT_BOOT_H
#define JOS_BOOT_BOOT_H

#define SECTOR_SIZE 512

#define CMDLINE_SECTOR 1
#define HEADER_SECTOR  2

#define CMDLINE_MAGIC "JOSCMDLN" /* 8 characters */
#define HEADER_MAGIC  "JOSIMAGE"
#define MAGIC_SIZE    8

#define BOOT_SIGNATURE 0xaa55 /* last word of the boot sector */

/* INT 13h extensions ("BIOS Enhanced Disk Drive Specification"). */
#define INT_DISK         0x13
#define DISK_RESET       0x00
#define DISK_EXT_CHECK   0x41
#define DISK_EXT_READ    0x42
#define DISK_CHECK_ASK   0x55aa
#define DISK_CHECK_REPLY 0xaa55
#define DISK_EXT_PACKET  0x01 /* in CX: reads and writes by address packet are supported */
#define DISK_PACKET_SIZE 16
#define DISK_RETRIES     3

#define INT_VIDEO      0x10
#define VIDEO_TELETYPE 0x0e

/* Segment selectors of the loader's GDT (boot/entry.S). */
#define SEL_CODE32 0x08
#define SEL_DATA32 0x10
#define SEL_CODE16 0x18
#define SEL_DATA16 0x20

#define BOOT_CR0_PE 0x1

#ifndef __ASSEMBLER__
#include <inc/types.h>

/* HEADER_SECTOR of the image; conf/kernimg fills it in. */
struct ImageHeader {
    char magic[MAGIC_SIZE];
    uint32_t kernel_sector; /* first sector of the kernel's ELF file; 0: no kernel in the image */
    uint32_t kernel_bytes;  /* its length */
};
_Static_assert(sizeof(struct ImageHeader) == 16, "conf/kernimg relies on it");
#endif

#endif
