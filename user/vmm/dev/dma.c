/*
 * Guest memory as devices reach it: which pages are mapped, each in the one slot that its address
 * has, and copies that go over pages.
 */
#include <inc/string.h>
#include <inc/vmm.h>
#include <user/vmm/dev/dma.h>

void dma_init(struct Dma *d, const struct DmaPeer *peer, uint64_t memsize,
              const volatile uint64_t *replaced)
{
    *d = (struct Dma){ .peer = peer, .memsize = memsize, .replaced = replaced };
    d->seen = replaced ? *replaced : 0;
}

bool dma_is_ram(const struct Dma *d, gpa_t gpa, uint64_t len)
{
    uint64_t low = MIN(d->memsize, GUEST_HOLE_START), high = d->memsize - low;
    if (gpa < GUEST_HOLE_END)
        return gpa < low && len <= low - gpa;
    return gpa - GUEST_HOLE_END < high && len <= high - (gpa - GUEST_HOLE_END);
}

void dma_forget(struct Dma *d)
{
    d->seen = d->replaced ? *d->replaced : 0;
    for (unsigned i = 0; i < DMA_SLOTS; i++)
        d->slots[i].tag = 0;
    d->peer->forget(d->peer->to);
}

char *dma_map(struct Dma *d, gpa_t gpa, gpa_t access)
{
    unsigned n = gpa >> PGSHIFT & (DMA_SLOTS - 1);
    struct DmaSlot *s = &d->slots[n];
    gpa_t page = ROUNDDOWN(gpa, PGSIZE);
    bool writable;
    if (!dma_is_ram(d, page, PGSIZE))
        return NULL;
    if (s->tag != (page | DMA_READ) || access == DMA_WRITE) { /* it may be writable by now */
        s->tag = 0;
        s->page = d->peer->map(d->peer->to, n, page, &writable);
        if (!s->page)
            return NULL;
        s->tag = page | DMA_READ | (writable ? DMA_WRITE : 0);
    }
    return s->tag & access ? s->page : NULL;
}

/* Pages in a row have slots in a row, unless these begin anew. */
char *dma_pages(struct Dma *d, gpa_t gpa, gpa_t access, unsigned *n)
{
    char *first = dma_at(d, gpa, access);
    unsigned k = 1;
    while (first && k < *n && k < DMA_SLOTS &&
           dma_at(d, gpa + k * PGSIZE, access) == first + k * PGSIZE)
        k++;
    *n = k;
    return first;
}

bool dma_read(struct Dma *d, gpa_t gpa, void *buf, size_t len)
{
    for (size_t n; len > 0; gpa += n, buf = (char *)buf + n, len -= n) {
        const char *from = dma_at(d, gpa, DMA_READ);
        n = MIN(len, PGSIZE - PGOFF(gpa));
        if (!from)
            return false;
        memcpy(buf, from, n);
    }
    return true;
}

bool dma_write(struct Dma *d, gpa_t gpa, const void *buf, size_t len)
{
    for (size_t n; len > 0; gpa += n, buf = (const char *)buf + n, len -= n) {
        char *to = dma_at(d, gpa, DMA_WRITE);
        n = MIN(len, PGSIZE - PGOFF(gpa));
        if (!to)
            return false;
        memcpy(to, buf, n);
    }
    return true;
}
