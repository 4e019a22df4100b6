/*
 * Where physical memory is in the kernel's address space.
 */
#ifndef JOS_KERN_KADDR_H
#define JOS_KERN_KADDR_H

#include <inc/memlayout.h>
#include <inc/types.h>

/* Physical <-> kernel virtual through the direct map. */
static inline void *KADDR(physaddr_t pa)
{
    return (void *)(pa + KERNBASE);
}

/* Of a direct-map or kernel-image address. */
static inline physaddr_t PADDR(const void *kva)
{
    uint64_t va = (uint64_t)kva;
    return va >= KERNEL_VMA ? va - KERNEL_VMA : va - KERNBASE;
}

#endif
