/*
 * The allocator of physical page frames. Frames that were never used are not on any list: each RAM
 * region has a mark, and everything from the mark on is free. So the start takes the same time on
 * every machine, and a guest's untouched memory stays untouched. Frames that came back are on a
 * free list. Single frames come from the lower end of what was never used, runs for large pages
 * from the upper end; a run that comes back whole stays whole until single frames run out. CPUs
 * that have nothing else to do clear some runs, so that a guest which needs one need not wait for
 * that.
 */
#include <inc/assert.h>
#include <inc/error.h>
#include <inc/once.h>
#include <inc/stdio.h>
#include <inc/string.h>
#include <kern/cpu.h>
#include <kern/env.h>
#include <kern/frame.h>
#include <kern/kaddr.h>
#include <kern/pmap.h>
#include <kern/spinlock.h>

#define MAX_REGIONS 64
#define LOW_MEMORY  0x100000ul  /* kept for firmware, boot information and starting CPUs */
#define BOOT_MAPPED PGSIZE_1G   /* what kern/entry.S maps */
#define MIN_MEMORY  0x1000000ul /* 16 MiB */
#define CLEAR_SHARE 8           /* a part of memory is cleared ahead: one in so many */
#define CARVE       16ul        /* frames that go to the free list together; divides PAGEINFOS */
#define PAGEINFOS   (PGSIZE / sizeof(struct PageInfo)) /* in a page of pages[] */

struct Region {
    ppn_t start, mark, end; /* free: [mark, end) */
    ppn_t backed;           /* below it, those that were used are in pages[] (pages_back) */
};

/* A call for so little would cost more than it saves. */
static inline void zero_page(void *page)
{
    size_t words = PGSIZE / sizeof(uint64_t);

    asm volatile("rep stosq" : "+D"(page), "+c"(words) : "a"(0ul) : "memory");
}

struct PageInfo *pages;
size_t npages;

static struct spinlock page_lock = SPINLOCK_INIT("page"); /* protects all below and every pp_link */
static struct PageInfo *free_list;
static struct PageInfo *free_runs;  /* by their first frames, */
static struct PageInfo *clear_runs; /* those that are cleared, */
static struct PageInfo *clearing;   /* and one whose first nclear frames are; */
static bool clear_busy; /* it is its CPU's alone, which clears a frame without the lock */
static size_t nclear, nclear_runs;
static size_t nfree, ntotal;
static struct Region regions[MAX_REGIONS];
static int nregions;
static int cur_region;  /* regions before it are used up */
static int boot_region; /* where boot_alloc takes from */

extern const char kernel_end[];

/* ---- Boot ---- */

static void region_append(ppn_t start, ppn_t end)
{
    if (start >= end)
        return;
    if (nregions == MAX_REGIONS) {
        cprintf("memory: more than %d ranges, ignoring %#lx-%#lx\n", MAX_REGIONS, start << PGSHIFT,
                end << PGSHIFT);
        return;
    }
    regions[nregions++] = (struct Region){ .start = start, .mark = start, .end = end };
}

/* Take [start, end) out of all regions. A region is replaced by what is left of it on both sides.
 */
static void region_cut(ppn_t start, ppn_t end)
{
    for (int i = nregions - 1; i >= 0 && start < end; i--) {
        struct Region old = regions[i];
        if (start >= old.end || end <= old.start)
            continue;
        regions[i] = regions[--nregions];
        region_append(old.start, start);
        region_append(end, old.end);
    }
}

/* Enter the map's RAM, whole frames only, or cut out everything else. Ranges of a map may overlap.
 */
static void apply_map(const struct MultibootInfo *mbi, bool ram)
{
    const char *p = KADDR(mbi->mmap_addr), *end = p + mbi->mmap_length;

    while (p < end) {
        const struct MultibootMmap *m = (const void *)p;
        physaddr_t from = MIN(m->addr, KERNBASE_MAX), to = from + MIN(m->len, KERNBASE_MAX - from);
        ppn_t first = PGNUM(ram ? ROUNDUP(from, PGSIZE) : from);
        ppn_t last = PGNUM(ram ? to : ROUNDUP(to, PGSIZE));

        p += m->size + sizeof(m->size);
        if ((m->type == MBMMAP_AVAILABLE) != ram)
            continue;
        region_cut(first, last);
        if (ram)
            region_append(first, last);
    }
}

static void regions_init(const struct MultibootInfo *mbi)
{
    if (!(mbi->flags & MBI_MMAP))
        return;
    apply_map(mbi, true);
    apply_map(mbi, false); /* where both claim a frame, it is not ours */
    region_cut(0, PGNUM(LOW_MEMORY));
    region_cut(PGNUM(KERNEL_LOAD), PGNUM(ROUNDUP(PADDR(kernel_end), PGSIZE)));
}

/* Frames that boot_alloc may still take from r. */
static size_t boot_room(const struct Region *r)
{
    ppn_t end = MIN(r->end, PGNUM(BOOT_MAPPED));

    return end > r->mark ? end - r->mark : 0;
}

void frame_init(const struct MultibootInfo *mbi)
{
    size_t limit;

    regions_init(mbi);
    for (int i = 0; i < nregions; i++) {
        ntotal += regions[i].end - regions[i].start;
        npages = MAX(npages, regions[i].end);
        if (boot_room(&regions[i]) > boot_room(&regions[boot_region]))
            boot_region = i;
    }
    if (nregions == 0 || ntotal < PGNUM(MIN_MEMORY))
        panic("memory: the boot information names %lu KiB of RAM above 1 MiB, at least %lu are "
              "needed",
              ntotal * (PGSIZE / 1024), MIN_MEMORY / 1024);

    /* pages[] may take half of what can be reached now; more RAM than that describes is not used.
     */
    limit = boot_room(&regions[boot_region]) / 2 * PGSIZE / sizeof(*pages);
    if (npages > limit) {
        cprintf("memory: not using RAM above %#lx\n", limit << PGSHIFT);
        npages = limit;
        ntotal = 0;
        for (int i = 0; i < nregions; i++) {
            regions[i].end = MAX(MIN(regions[i].end, npages), regions[i].start);
            ntotal += regions[i].end - regions[i].start;
        }
    }
    nfree = ntotal;
    pages = boot_alloc(npages * sizeof(*pages));
}

void *boot_alloc(size_t size)
{
    struct Region *r = &regions[boot_region];
    size_t n = ROUNDUP(size, PGSIZE) / PGSIZE;
    ppn_t first = r->mark;

    if (boot_room(r) < n)
        panic("memory: no room for %lu KiB of kernel tables", size / 1024);
    r->mark += n;
    nfree -= n;
    return KADDR(first << PGSHIFT);
}

void frame_each_ram(void (*fn)(physaddr_t start, physaddr_t end))
{
    fn(0, LOW_MEMORY);
    fn(KERNEL_LOAD, PADDR(kernel_end));
    for (int i = 0; i < nregions; i++)
        fn(regions[i].start << PGSHIFT, regions[i].end << PGSHIFT);
}

/* ---- Allocation ---- */

/* Change nfree; page_lock is held. Whoever only wants to know if there is plenty reads it without
 * the lock. */
static inline void count_free(ssize_t change)
{
    WRITE_ONCE(nfree, nfree + change);
}

/* Take a run off the list. NULL: it is empty. page_lock is held. */
static struct PageInfo *run_pop(struct PageInfo **list)
{
    struct PageInfo *run = *list;

    if (run)
        *list = run->pp_link;
    return run;
}

/* A cleared run, or the one that is about to be, unless a CPU is at it; with how many of its first
 * bytes are zero. page_lock is held. */
static struct PageInfo *run_pop_clear(size_t *clear)
{
    struct PageInfo *run = run_pop(&clear_runs);

    *clear = run ? PGSIZE_2M : nclear * PGSIZE;
    if (run) {
        WRITE_ONCE(nclear_runs, nclear_runs - 1);
        return run;
    }
    if (clear_busy)
        return NULL;
    run = clearing;
    clearing = NULL;
    nclear = 0;
    return run;
}

/* Nothing else is left: take a run apart. The free list is empty; page_lock is held. */
static void run_break(void)
{
    struct PageInfo *run = run_pop(&free_runs);
    size_t clear;

    if (!run)
        run = run_pop_clear(&clear);
    if (!run)
        return;
    for (int i = RUN_FRAMES - 1; i >= 0; i--) {
        run[i].pp_link = free_list;
        free_list = &run[i];
    }
}

/* Put some frames on the free list, which is empty: the lowest that were never used, or else those
 * of a run. page_lock is held. */
static void __attribute__((noinline)) frames_carve(void)
{
    while (cur_region < nregions && regions[cur_region].mark == regions[cur_region].end)
        cur_region++;
    if (cur_region == nregions) {
        run_break();
        return;
    }
    struct Region *r = &regions[cur_region];
    ppn_t end = MIN(r->end, ROUNDDOWN(r->mark, CARVE) + CARVE);
    if (r->mark >= r->backed) {
        pages_back(r->mark);
        r->backed = ROUNDDOWN(r->mark, PAGEINFOS) + PAGEINFOS;
    }
    for (ppn_t n = end; n > r->mark; n--) {
        pages[n - 1].pp_link = free_list;
        free_list = &pages[n - 1];
    }
    r->mark = end;
}

/* A frame off the free list. NULL: there is none. */
static inline struct PageInfo *take_frame(void)
{
    spin_lock(&page_lock);
    if (!free_list)
        frames_carve();
    struct PageInfo *pp = free_list;
    if (pp) {
        free_list = pp->pp_link;
        count_free(-1);
    }
    spin_unlock(&page_lock);
    return pp;
}

struct PageInfo *page_alloc(int flags)
{
    struct PageInfo *pp;
    size_t left = READ_ONCE(nfree);

    if (left <= RESERVED_FRAMES && left <= env_frames_kept_from(curenv))
        return NULL;
    while (!(pp = take_frame()) && READ_ONCE(clear_busy))
        cpu_pause(); /* the last run comes back when a frame of it is cleared */
    if (!pp)
        return NULL;
    pp->pp_link = NULL;
    if (flags & ALLOC_ZERO)
        zero_page(page2kva(pp));
    return pp;
}

void page_free(struct PageInfo *pp)
{
    assert(pp->pp_ref == 0);
    spin_lock(&page_lock);
    pp->pp_link = free_list;
    free_list = pp;
    count_free(1);
    spin_unlock(&page_lock);
}

void *page_new(void)
{
    struct PageInfo *pp = page_alloc(ALLOC_ZERO);

    if (!pp)
        return NULL;
    page_incref(pp);
    return page2kva(pp);
}

void page_drop(void *page)
{
    if (page)
        page_decref(pa2page(PADDR(page)));
}

/* ---- Runs ---- */

/* Cut the uppermost run that was never used off region r. What lies above it becomes a region of
 * its own. page_lock is held. NULL: r has none. */
static struct PageInfo *run_carve(struct Region *r)
{
    ppn_t top = ROUNDDOWN(r->end, RUN_FRAMES);

    if (top < r->mark + RUN_FRAMES || (top < r->end && nregions == MAX_REGIONS))
        return NULL;
    region_append(top, r->end);
    r->end = top - RUN_FRAMES;
    for (ppn_t n = r->end; n < top; n += PAGEINFOS)
        pages_back(n);
    return &pages[r->end];
}

/* A run that was free, off its list, but not counted as taken; or NULL. page_lock is held. */
static struct PageInfo *run_find(void)
{
    struct PageInfo *run = run_pop(&free_runs);

    for (int i = nregions - 1; i >= cur_region && !run; i--)
        run = run_carve(&regions[i]);
    return run;
}

struct PageInfo *page_run_alloc(size_t *clear)
{
    spin_lock(&page_lock);
    struct PageInfo *run = run_pop_clear(clear);
    if (!run)
        run = run_find();
    if (run)
        count_free(-(ssize_t)RUN_FRAMES);
    spin_unlock(&page_lock);

    for (size_t i = 0; run && i < RUN_FRAMES; i++)
        run[i] = (struct PageInfo){ .pp_ref = 1 };
    return run;
}

/* The next frame to clear, and its run with it, is this CPU's until clear_end. NULL: there is none,
 * or another CPU is at it. */
static struct PageInfo *clear_begin(void)
{
    struct PageInfo *frame = NULL;

    spin_lock(&page_lock);
    if (!clearing)
        clearing = run_find();
    if (clearing && !clear_busy) {
        frame = clearing + nclear;
        clear_busy = true;
    }
    spin_unlock(&page_lock);
    return frame;
}

static void clear_end(void)
{
    spin_lock(&page_lock);
    if (++nclear == RUN_FRAMES) {
        clearing->pp_link = clear_runs;
        clear_runs = clearing;
        clearing = NULL;
        nclear = 0;
        WRITE_ONCE(nclear_runs, nclear_runs + 1);
    }
    WRITE_ONCE(clear_busy, false);
    spin_unlock(&page_lock);
}

bool page_clear_ahead(void)
{
    if (READ_ONCE(nclear_runs) >= ntotal / CLEAR_SHARE / RUN_FRAMES)
        return false;
    struct PageInfo *frame = clear_begin();
    if (!frame)
        return false;
    zero_page(page2kva(frame));
    clear_end();
    return true;
}

/* Put n frames, linked from first to last, on the free list. */
static void free_chain(struct PageInfo *first, struct PageInfo *last, size_t n)
{
    spin_lock(&page_lock);
    last->pp_link = free_list;
    free_list = first;
    count_free(n);
    spin_unlock(&page_lock);
}

static void free_run(struct PageInfo *run)
{
    spin_lock(&page_lock);
    run->pp_link = free_runs;
    free_runs = run;
    count_free(RUN_FRAMES);
    spin_unlock(&page_lock);
}

void page_run_decref(struct PageInfo *run)
{
    struct PageInfo *first = NULL, *last = NULL;
    size_t n = 0;

    for (int i = RUN_FRAMES - 1; i >= 0; i--) {
        if (__atomic_sub_fetch(&run[i].pp_ref, 1, __ATOMIC_ACQ_REL) != 0)
            continue;
        run[i].pp_link = first;
        first = &run[i];
        last = last ? last : first;
        n++;
    }
    if (n == RUN_FRAMES)
        free_run(run);
    else if (n > 0)
        free_chain(first, last, n);
}

size_t page_nfree(void)
{
    return READ_ONCE(nfree);
}

size_t page_ntotal(void)
{
    return ntotal;
}
