/*
 * The virtual address space, the same in every environment.
 *
 *   0xffffffffc0000000  KERNEL_ENVS  the table of envs, read-write where it has frames
 *   0xffffffff80000000  KERNEL_VMA   the kernel image: physical address + KERNEL_VMA,
 *                                    text read-execute, rodata read-only, data read-write
 *   0xffffffff40000000  LAPIC_VA     the local APIC's registers, uncached (hOS without x2APIC)
 *   0xffffff0000000000  KERNEL_MMIO  firmware tables
 *   0xffff800000000000  KERNBASE     all physical memory, read-write, never executable
 *   ---------------------------------------------------------------- canonical hole
 *   0x0000018000000000  UDEV         registers of the env's devices, uncached (PML4 slot 3)
 *   0x0000010000000000  UVPT         the env's own page tables, read-only (PML4 slot 2)
 *   0x000000c000000000  UENVS        envs[NENV], public parts  \  PML4 slot 1, read-only,
 *   0x0000008000000000  UPAGES       struct PageInfo pages[]   /  the same for all envs
 *   0x0000008000000000  UTOP, ULIM   everything below belongs to the env (PML4 slot 0)
 *   0x0000000010000000  UHEAP        malloc; the file server's block cache is above (DISKMAP)
 *   0x0000000000800000  UTEXT        program text and data; UXSTACKTOP is right below
 *   0x00000000007ff000               page-fault exception stack (one page)
 *   0x00000000007fe000               guard page, never mapped
 *   0x00000000007fe000  USTACKTOP    the normal stack grows down from here
 *   0x0000000000720000  FDDATA       one data page per file descriptor (pipes)
 *   0x0000000000700000  FDTABLE      one struct Fd page per file descriptor
 *   0x0000000000600000  UTEMP        scratch mappings of library code (1 MiB)
 *
 * Everything that a small program maps lies in two 2 MiB regions, so its page
 * tables take five pages.
 */
#ifndef JOS_INC_MEMLAYOUT_H
#define JOS_INC_MEMLAYOUT_H

#define PGSHIFT 12
#define PGSIZE  4096

#ifdef __ASSEMBLER__
#define UL(x) x
#else
#define UL(x) x##ul
#endif

#define KERNEL_VMA   UL(0xffffffff80000000)
#define KERNEL_ENVS  UL(0xffffffffc0000000)
#define KERNEL_LOAD  UL(0x100000) /* physical load address of the kernel image */
#define KERNBASE     UL(0xffff800000000000)
#define LAPIC_VA     UL(0xffffffff40000000)
#define KERNBASE_MAX UL(0x400000000000) /* bytes of physical memory the direct map can hold */

#define KERNEL_MMIO UL(0xffffff0000000000)
#define ACPI_VA     KERNEL_MMIO                    /* firmware tables, mapped while they are read */
#define PCI_VA      (KERNEL_MMIO + UL(0x40000000)) /* registers of the kernel's own PCI devices */

#define UDEV   UL(0x0000018000000000)
#define UVPT   UL(0x0000010000000000)
#define UENVS  UL(0x000000c000000000)
#define ULIM   UL(0x0000008000000000)
#define UPAGES ULIM
#define UTOP   ULIM

#define UHEAP      UL(0x10000000)
#define UTEXT      UL(0x800000)
#define UXSTACKTOP UL(0x800000)
#define USTACKTOP  UL(0x7fe000)
#define USTACKLIM  UL(0x740000) /* the normal stack never grows below this */
#define FDDATA     UL(0x720000)
#define FDTABLE    UL(0x700000)
#define UTEMP      UL(0x600000)
#define UTEMP_SIZE UL(0x100000)

#ifndef __ASSEMBLER__
#include "types.h"

/* One per physical page frame; the array is mapped read-only at UPAGES. A frame is free exactly
 * when pp_ref is 0. */
struct PageInfo {
    struct PageInfo *pp_link; /* next free frame */
    uint64_t pp_ref;          /* mappings and other holders; too wide to wrap */
};
#endif

#endif
