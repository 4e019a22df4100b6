/*
 * The memory map of a guest: RAM as on a PC, with the hole for devices below 4 GiB. What is PCI's
 * window there is no reserved range: kernels would take that for a place where no device can be.
 */
#include <user/vmm/dev/pci/pci.h>
#include <user/vmm/image.h>
#include <user/vmm/memmap.h>

unsigned memmap(uint64_t memsize, struct MemRange ranges[MEMMAP_MAX])
{
    gpa_t low = ram_below_hole(memsize), high = GUEST_HOLE_END + ram_above_hole(memsize);
    const struct MemRange all[MEMMAP_MAX] = {
        { 0, LOWMEM_END, RANGE_RAM },        { BIOS_AREA, EXTMEM, RANGE_RESERVED },
        { EXTMEM, low, RANGE_RAM },          { PCI_MEM_END, GUEST_HOLE_END, RANGE_RESERVED },
        { GUEST_HOLE_END, high, RANGE_RAM },
    };
    unsigned n = 0;
    for (unsigned i = 0; i < MEMMAP_MAX; i++)
        if (all[i].start < all[i].end)
            ranges[n++] = all[i];
    return n;
}
