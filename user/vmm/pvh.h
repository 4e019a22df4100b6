/*
 * The PVH way to start a kernel (Xen "x86/HVM direct boot ABI"): in 32-bit protected mode without
 * paging, with the address of a description of the machine in EBX.
 */
#ifndef JOS_USER_VMM_PVH_H
#define JOS_USER_VMM_PVH_H

#include <user/vmm/image.h>
#include <user/vmm/memmap.h>

struct PvhStart {
    uint32_t magic, version, flags, nr_modules;
    uint64_t modules, cmdline, rsdp, memmap;
    uint32_t memmap_entries, reserved;
};
_Static_assert(sizeof(struct PvhStart) == 56, "hvm_start_info, version 1");

struct PvhModule {
    uint64_t start, size, cmdline, reserved;
};
_Static_assert(sizeof(struct PvhModule) == 32, "hvm_modlist_entry");

struct PvhRange {
    uint64_t start, size;
    uint32_t type, reserved;
};
_Static_assert(sizeof(struct PvhRange) == 24, "hvm_memmap_table_entry");

struct Pvh {
    struct PvhStart start;
    struct PvhModule initrd;
    struct PvhRange memmap[MEMMAP_MAX];
};

/* Fill in what a guest with memsize bytes finds at gpa `at`. initrd_size 0: there is none. */
void pvh_build(struct Pvh *pvh, gpa_t at, uint64_t memsize, gpa_t cmdline, gpa_t rsdp, gpa_t initrd,
               uint64_t initrd_size);

#endif
