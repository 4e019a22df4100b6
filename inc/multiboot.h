/*
 * Multiboot 1 ("Multiboot Specification version 0.6.96").
 */
#ifndef JOS_INC_MULTIBOOT_H
#define JOS_INC_MULTIBOOT_H

#define MULTIBOOT_HEADER_MAGIC     0x1BADB002 /* in the image's first 8 KiB */
#define MULTIBOOT_BOOTLOADER_MAGIC 0x2BADB002 /* in EAX at entry */
#define MULTIBOOT_SEARCH           8192

/* Header flags */
#define MULTIBOOT_PAGE_ALIGN  (1 << 0)
#define MULTIBOOT_MEMORY_INFO (1 << 1)
#define MULTIBOOT_AOUT_KLUDGE (1 << 16)

/* Information flags */
#define MBI_MEMORY  (1 << 0)
#define MBI_CMDLINE (1 << 2)
#define MBI_MODS    (1 << 3)
#define MBI_MMAP    (1 << 6)
#define MBI_LOADER  (1 << 9)

#define MBMMAP_AVAILABLE 1

#ifndef __ASSEMBLER__
#include "types.h"

struct MultibootHeader {
    uint32_t magic, flags, checksum;
    /* Valid with MULTIBOOT_AOUT_KLUDGE: */
    uint32_t header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr;
};

/* "Boot information format" */
struct MultibootInfo {
    uint32_t flags;
    uint32_t mem_lower, mem_upper; /* KiB below 640K, KiB above 1M up to the first hole */
    uint32_t boot_device;
    uint32_t cmdline; /* physical address of a string */
    uint32_t mods_count, mods_addr;
    uint32_t syms[4];
    uint32_t mmap_length, mmap_addr;
    uint32_t drives_length, drives_addr;
    uint32_t config_table;
    uint32_t boot_loader_name;
    uint32_t apm_table;
    uint32_t vbe[4];
};
_Static_assert(sizeof(struct MultibootInfo) == 88, "multiboot information");

struct MultibootMmap {
    uint32_t size; /* of the rest of the entry, 20 or more */
    uint64_t addr, len;
    uint32_t type; /* MBMMAP_AVAILABLE: usable RAM */
} __attribute__((packed));
_Static_assert(sizeof(struct MultibootMmap) == 24, "multiboot memory map entry");

struct MultibootModule {
    uint32_t mod_start, mod_end; /* physical, end exclusive */
    uint32_t string;
    uint32_t reserved;
};
_Static_assert(sizeof(struct MultibootModule) == 16, "multiboot module entry");
#endif

#endif
