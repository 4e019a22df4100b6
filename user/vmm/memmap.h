/*
 * The memory that a guest is told of, whichever boot protocol tells it.
 */
#ifndef JOS_USER_VMM_MEMMAP_H
#define JOS_USER_VMM_MEMMAP_H

#include <inc/vmm.h>

/* Types of ranges, the same in Multiboot's and in Linux's memory map (ACPI "Address Range Types").
 */
#define RANGE_RAM      1
#define RANGE_RESERVED 2

#define LOWMEM_END 0xa0000ul /* of the memory that a PC's first 640 KiB are */
#define BIOS_AREA  0xf0000ul /* up to 1 MiB: a PC's BIOS; ACPI's tables are looked for there */

#define MEMMAP_MAX 5

struct MemRange {
    gpa_t start, end;
    uint32_t type;
};

/* The ranges of a guest with memsize bytes, ascending. Returns how many there are. */
unsigned memmap(uint64_t memsize, struct MemRange ranges[MEMMAP_MAX]);

#endif
