/*
 * Guest memory as devices reach it. A page that a device touches stays mapped in the monitor, so
 * that the next access to it needs no system call; how a page is mapped is the business of whoever
 * makes the struct Dma. The guest may write to its memory at any moment: whoever checks something
 * that is there reads it once, into memory of its own.
 */
#ifndef JOS_USER_VMM_DEV_DMA_H
#define JOS_USER_VMM_DEV_DMA_H

#include <inc/mmu.h>
#include <inc/types.h>

#define DMA_SLOTS 256 /* pages that are mapped at a time; a power of two */

/* Where the pages come from. */
struct DmaPeer {
    /* The page at gpa, which is RAM and page-aligned, for slot n, instead of what that slot had.
     * *writable: whether the guest itself may write there. NULL: it cannot be had. */
    void *(*map)(void *to, unsigned n, gpa_t gpa, bool *writable);
    /* Unmap all slots. */
    void (*forget)(void *to);
    void *to;
};

struct DmaSlot {
    gpa_t tag; /* DMA_* bits and the page; 0: nothing is mapped */
    char *page;
};
#define DMA_READ  1ul
#define DMA_WRITE 2ul

struct Dma {
    const struct DmaPeer *peer;
    uint64_t memsize; /* bytes of RAM */
    /* Changes when pages of the guest's have got other frames, and mappings are to be forgotten. */
    const volatile uint64_t *replaced;
    uint64_t seen;
    struct DmaSlot slots[DMA_SLOTS];
};

/* A fresh one, with nothing mapped. `replaced` may be NULL: nothing ever changes. */
void dma_init(struct Dma *d, const struct DmaPeer *peer, uint64_t memsize,
              const volatile uint64_t *replaced);
/* Is all of [gpa, gpa + len) RAM? Safe against overflow; len > 0. */
bool dma_is_ram(const struct Dma *d, gpa_t gpa, uint64_t len);
/* Forget mappings that may be stale. Devices begin their work with this. */
void dma_forget(struct Dma *d);
static inline void dma_refresh(struct Dma *d)
{
    if (d->replaced && *d->replaced != d->seen)
        dma_forget(d);
}

/* Map the page at gpa for an access (DMA_READ, DMA_WRITE); NULL: it is no RAM, or the guest has no
 * right to it. */
char *dma_map(struct Dma *d, gpa_t gpa, gpa_t access);
/* The byte at gpa, and those after it in its page, for an access. The address is good until the
 * next call for another page. NULL as above. */
static inline char *dma_at(struct Dma *d, gpa_t gpa, gpa_t access)
{
    const struct DmaSlot *s = &d->slots[gpa >> PGSHIFT & (DMA_SLOTS - 1)];
    char *page = s->page;
    if (__builtin_expect((s->tag ^ gpa) >> PGSHIFT || !(s->tag & access), 0))
        page = dma_map(d, gpa, access);
    return page ? page + PGOFF(gpa) : NULL;
}

/* Up to *n pages from page-aligned gpa on for an access, at one address, which is the result; *n:
 * how many there are. NULL: none. */
char *dma_pages(struct Dma *d, gpa_t gpa, gpa_t access, unsigned *n);

/* Copy len bytes from or to guest memory. false: not all of it can be had; some may be copied. */
bool dma_read(struct Dma *d, gpa_t gpa, void *buf, size_t len);
bool dma_write(struct Dma *d, gpa_t gpa, const void *buf, size_t len);

#endif
