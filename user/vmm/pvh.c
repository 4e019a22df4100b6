/*
 * What a kernel finds that is started at its PVH entry point. The layout is Xen's; its constants
 * are from "x86/HVM direct boot ABI".
 */
#include <user/vmm/pvh.h>

#define PVH_MAGIC   0x336ec578
#define PVH_VERSION 1 /* with a memory map */

void pvh_build(struct Pvh *pvh, gpa_t at, uint64_t memsize, gpa_t cmdline, gpa_t rsdp, gpa_t initrd,
               uint64_t initrd_size)
{
    struct MemRange ranges[MEMMAP_MAX];
    unsigned n = memmap(memsize, ranges);

    pvh->start = (struct PvhStart){
        .magic = PVH_MAGIC,
        .version = PVH_VERSION,
        .nr_modules = initrd_size > 0,
        .modules = at + offsetof(struct Pvh, initrd),
        .cmdline = cmdline,
        .rsdp = rsdp,
        .memmap = at + offsetof(struct Pvh, memmap),
        .memmap_entries = n,
    };
    pvh->initrd = (struct PvhModule){ .start = initrd, .size = initrd_size };
    for (unsigned i = 0; i < n; i++)
        pvh->memmap[i] = (struct PvhRange){ .start = ranges[i].start,
                                            .size = ranges[i].end - ranges[i].start,
                                            .type = ranges[i].type };
}
