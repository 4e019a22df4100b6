/*
 * Guest memory: a table of the pages that were touched.
 */
#include <inc/vmm.h>
#include <stdlib.h>
#include <string.h>
#include <user/vmm/host/memory.h>

#define PAGES_MAX 1024 /* a power of two; beyond half of it no page can be had */
#define STALE_MAX 64
#define PLANS_MAX 32

struct Page {
    gpa_t gpa;
    char *frame; /* NULL: not in use */
    char *kept;  /* of a read-only page, or of a stale frame: what it has to contain */
};

static struct Page pages[PAGES_MAX], stale[STALE_MAX];
static unsigned npages, nstale;
uint64_t memory_replaced;

static struct Plan {
    gpa_t gpa;
    unsigned size;
    uint64_t value;
} plans[PLANS_MAX];
static unsigned nplans;

static bool is_ram(gpa_t page)
{
    return page < GUEST_HOLE_START ||
           (page >= GUEST_HOLE_END && page < GUEST_HOLE_END + MEMORY_HIGH);
}

static bool is_fixed(gpa_t page)
{
    return page / PGSIZE % 61 == 60;
}

static bool is_refused(gpa_t page)
{
    return page / PGSIZE % 67 == 66;
}

static void drop(struct Page *p)
{
    free(p->frame);
    free(p->kept);
    *p = (struct Page){ 0 };
}

static char *copy_of(const char *frame)
{
    char *copy = malloc(PGSIZE);
    memcpy(copy, frame, PGSIZE);
    return copy;
}

/* NULL: it cannot be had. */
static struct Page *page_at(gpa_t gpa)
{
    gpa_t page = ROUNDDOWN(gpa, PGSIZE);
    unsigned n = page / PGSIZE * 0x9e3779b1u >> 16 & (PAGES_MAX - 1);
    while (pages[n].frame && pages[n].gpa != page)
        n = (n + 1) & (PAGES_MAX - 1);
    struct Page *p = &pages[n];
    if (p->frame)
        return p;
    if (!is_ram(page) || is_refused(page) || npages == PAGES_MAX / 2)
        return NULL;
    npages++;
    p->gpa = page;
    p->frame = calloc(1, PGSIZE);
    p->kept = is_fixed(page) ? calloc(1, PGSIZE) : NULL;
    return p;
}

static void forget_stale(void)
{
    while (nstale > 0)
        drop(&stale[--nstale]);
}

void memory_reset(void)
{
    for (unsigned i = 0; i < PAGES_MAX && npages > 0; i++)
        if (pages[i].frame) {
            drop(&pages[i]);
            npages--;
        }
    forget_stale();
    nplans = 0;
}

/* ---- What a device sees ---- */

static void *map(void *to, unsigned n, gpa_t gpa, bool *writable)
{
    (void)to;
    HOLDS(n < DMA_SLOTS, "slot %u", n);
    HOLDS(PGOFF(gpa) == 0 && is_ram(gpa), "gpa 0x%lx", gpa);
    memory_disturb();
    const struct Page *p = page_at(gpa);
    *writable = !is_fixed(gpa);
    return p ? p->frame : NULL;
}

static void forget(void *to)
{
    (void)to;
    memory_check();
    forget_stale();
}

const struct DmaPeer memory_peer = { map, forget, NULL };

/* ---- What the guest does ---- */

static void access_memory(gpa_t gpa, char *buf, size_t n, bool write)
{
    for (size_t len; n > 0; gpa += len, buf += len, n -= len) {
        const struct Page *p = page_at(gpa);
        len = MIN(n, PGSIZE - PGOFF(gpa));
        if (!p)
            continue;
        memcpy(write ? p->frame + PGOFF(gpa) : buf, write ? buf : p->frame + PGOFF(gpa), len);
        if (write && p->kept)
            memcpy(p->kept + PGOFF(gpa), buf, len);
    }
}

void memory_write(gpa_t gpa, const void *buf, size_t n)
{
    access_memory(gpa, (char *)buf, n, true);
}

void memory_read(gpa_t gpa, void *buf, size_t n)
{
    memset(buf, 0, n);
    access_memory(gpa, buf, n, false);
}

char *memory_frame(gpa_t gpa)
{
    const struct Page *p = page_at(gpa);
    return p && !p->kept ? p->frame : NULL;
}

void memory_replace(gpa_t gpa)
{
    struct Page *p = page_at(gpa);
    if (!p || nstale == STALE_MAX)
        return;
    stale[nstale++] = (struct Page){ p->gpa, p->frame, copy_of(p->frame) };
    p->frame = copy_of(p->frame);
    memory_replaced++;
}

void memory_plan(struct Input *in)
{
    if (nplans == PLANS_MAX)
        return;
    struct Plan *p = &plans[nplans++];
    p->gpa = input_take(in, 3);
    p->size = 1 << (input_take(in, 1) & 3);
    p->value = input_take(in, p->size);
}

void memory_disturb(void)
{
    if (nplans == 0)
        return;
    const struct Plan *p = &plans[--nplans];
    memory_write(p->gpa, &p->value, p->size);
}

static void check_kept(const struct Page *p, const char *what)
{
    HOLDS(!p->kept || memcmp(p->kept, p->frame, PGSIZE) == 0, "%s at 0x%lx", what, p->gpa);
}

void memory_check(void)
{
    for (unsigned i = 0; i < PAGES_MAX; i++)
        check_kept(&pages[i], "a read-only page");
    for (unsigned i = 0; i < nstale; i++)
        check_kept(&stale[i], "a frame that the guest has no more");
}
