/*
 * Page tables (SDM "4-Level Paging"): the kernel's own, and those of envs.
 */
#ifndef JOS_KERN_PMAP_H
#define JOS_KERN_PMAP_H

#include <inc/once.h>
#include <inc/memlayout.h>
#include <inc/mmu.h>
#include <kern/frame.h>

struct Env;

extern uint64_t *kern_pml4; /* the kernel's own tables; their upper half is in every env */
extern physaddr_t kern_cr3; /* where they are */

/* Set up the direct map, the kernel's mappings and the frame allocator from the memory map. */
void mem_init(void);

/*
 * The walk that all page tables of this format share:
 *
 *      va:  |  47-39 |  38-30 |  29-21 |  20-12 |  11-0  |
 *              PML4     PDPT      PD       PT     offset
 *
 * One step: from the table of this level to the next one. false: there is none.
 */
ALWAYS_INLINE bool pml4_descend(uint64_t **table, uintptr_t va, int level)
{
    uint64_t pte = READ_ONCE((*table)[PTX(va, level)]);

    *table = KADDR(PTE_ADDR(pte));
    return pte & PTE_P;
}

/* The rare walk, which makes the tables that are missing. NULL: no memory. */
uint64_t *pml4_walk_create(uint64_t *pml4, uintptr_t va) __attribute__((cold));
/* The page-table entry of va, which no large page maps (only the direct map has any); with create,
 * missing tables are allocated (user-accessible, writable: the last level decides). NULL: none and
 * !create, or no memory. */
ALWAYS_INLINE uint64_t *pml4_walk(uint64_t *pml4, uintptr_t va, bool create)
{
    uint64_t *table = pml4;

    if (pml4_descend(&table, va, 3) && pml4_descend(&table, va, 2) && pml4_descend(&table, va, 1))
        return &table[PTX(va, 0)];
    return create ? pml4_walk_create(pml4, va) : NULL;
}
/* Map pp at va with perm | PTE_P, replacing what was there. Takes a reference. No other CPU may
 * have these tables loaded. Returns 1 if something was there, 0 if not, or -E_NO_MEM. */
int page_insert(uint64_t *pml4, struct PageInfo *pp, uintptr_t va, uint64_t perm);
/* The frame mapped at va or NULL; *pte gets the entry if pte is not NULL. */
struct PageInfo *page_lookup(uint64_t *pml4, uintptr_t va, uint64_t **pte);
/* Unmap va if it is mapped; drops the reference and flushes the TLB entry. Likewise. Returns
 * whether it was. */
bool page_remove(uint64_t *pml4, uintptr_t va);
/* The same two for who has the page-table entry of va in e's tables, which may be loaded anywhere.
 * The mapping takes over a reference of the caller's; both return whether something was mapped
 * there before. */
bool pte_map(const struct Env *e, uint64_t *pte, uintptr_t va, struct PageInfo *pp, uint64_t perm);
bool pte_unmap(const struct Env *e, uint64_t *pte, uintptr_t va);
/* Map pages of a device's registers at va, in the window UDEV of an env's tables; they are never
 * unmapped while it lives. -E_NO_MEM. */
int device_map(uint64_t *pml4, uintptr_t va, physaddr_t pa, size_t size);
/* Map [va, va+size) to pa in the kernel's tables, 4 KiB granularity, at boot. Panics without
 * memory. */
void boot_map(uintptr_t va, physaddr_t pa, size_t size, uint64_t perm);

/* Frames for the windows that show what there is (UENVS, UPAGES): a page of envs[] or pages[] that
 * holds nothing yet is one read-only frame of zeroes, the same for all.
 *
 * Give e, and the envs that share frames with it, a frame for the public parts and one for the
 * private parts, so that they can be written to; the public parts are zeroes. Every other env may
 * be in use on other CPUs. env_table_lock is held. -E_NO_MEM. */
int envs_back(const struct Env *e);
/* None of these envs is in use any more: take their frames away. env_table_lock is held. */
void envs_unback(const struct Env *e);
/* The frame with this number is about to be used: its struct PageInfo, and those beside it that
 * were not used before, read as zeroes from now on, in pages[] and at UPAGES. */
void pages_back(ppn_t n);

/* A new address space with the kernel's upper half, UVPT, UPAGES and UENVS. NULL: no memory. */
uint64_t *pml4_new(void);
/* Free all user mappings, page tables and the PML4. It must not be loaded in CR3. */
void pml4_free(uint64_t *pml4);

#endif
