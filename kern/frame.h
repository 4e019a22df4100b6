/*
 * Physical page frames: what there is, and the allocator.
 */
#ifndef JOS_KERN_FRAME_H
#define JOS_KERN_FRAME_H

#include <inc/memlayout.h>
#include <inc/mmu.h>
#include <inc/multiboot.h>
#include <kern/kaddr.h>

extern struct PageInfo *pages; /* one per frame, indexed by physical page number */
extern size_t npages;          /* frames covered: highest RAM address / PGSIZE */

static inline physaddr_t page2pa(const struct PageInfo *pp)
{
    return (physaddr_t)(pp - pages) << PGSHIFT;
}

static inline void *page2kva(const struct PageInfo *pp)
{
    return KADDR(page2pa(pp));
}

/* pa must lie in RAM that the allocator manages or reserved at boot. */
static inline struct PageInfo *pa2page(physaddr_t pa)
{
    return &pages[PGNUM(pa)];
}

/* ---- At boot ---- */
/* Learn the RAM from the memory map and place the pages[] array. Panics when there is too little.
 */
void frame_init(const struct MultibootInfo *mbi);
/* Memory that is never given back, from below 1 GiB; only while one CPU runs. Rounded up to pages.
 */
void *boot_alloc(size_t size);
/* Call fn for each range of RAM that the allocator covers (and for the first MiB). */
void frame_each_ram(void (*fn)(physaddr_t start, physaddr_t end));

/* ---- Frames ---- */
#define ALLOC_ZERO 1
/* A free frame with pp_ref 0, or NULL when memory is out, or all but what is reserved for others
 * (env_frames_kept_from). Whoever keeps it takes a reference. */
struct PageInfo *page_alloc(int flags);
/* Give back a frame that never got a reference. */
void page_free(struct PageInfo *pp);
static inline void page_incref(struct PageInfo *pp)
{
    __atomic_add_fetch(&pp->pp_ref, 1, __ATOMIC_RELAXED);
}
/* Drop one reference; the last one frees the frame. */
static inline void page_decref(struct PageInfo *pp)
{
    if (__atomic_sub_fetch(&pp->pp_ref, 1, __ATOMIC_ACQ_REL) == 0)
        page_free(pp);
}
/* A zeroed frame for a structure of the kernel's own, with the reference that its owner holds, by
 * its address in the direct map. NULL: no memory. */
void *page_new(void);
/* Drop the owner's reference; NULL: nothing. */
void page_drop(void *page);
/* Frames of a run: what a large page of 2 MiB maps. */
#define RUN_FRAMES (PGSIZE_2M / PGSIZE)
/* As many free frames in a row, aligned to their size, with a reference on each for the caller, or
 * NULL when there is no such run. The first *clear bytes are zero. */
struct PageInfo *page_run_alloc(size_t *clear);
/* This CPU is idle: clear a frame of a run, which stays free. false: enough runs are clear, or no
 * other is free. */
bool page_clear_ahead(void);
/* Drop one reference on each frame of a run. If these were the last ones, it stays a run. */
void page_run_decref(struct PageInfo *run);
/* Free frames right now. */
size_t page_nfree(void);
size_t page_ntotal(void);

#endif
