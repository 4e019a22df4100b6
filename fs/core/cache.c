/*
 * The block cache. A hash table finds a block's slot; a clock picks the slot to reuse, and passes
 * over dirty ones: the file system writes back in time (fs_writeback), in an order that the cache
 * cannot know.
 */
#include <fs/core/cache.h>
#include <fs/core/disk.h>

#include <inc/error.h>
#include <inc/string.h>

#define SLOTS_IN_PAGE (PGSIZE_FS / sizeof(struct CacheSlot))
#define GROW          16u /* slots that get memory together; divides SLOTS_IN_PAGE */

int cache_init(struct Cache *c, struct Disk *disk, uint32_t nslots)
{
    uint32_t nbuckets = CACHE_MIN;

    memset(c, 0, sizeof(*c));
    nslots = MIN(MAX(nslots, CACHE_MIN), CACHE_MAX);
    while (nbuckets < nslots)
        nbuckets *= 2;
    c->slot = os_reserve(nslots * sizeof(*c->slot));
    c->bucket = os_reserve(nbuckets * sizeof(*c->bucket));
    c->data = os_reserve((size_t)nslots * BLKSIZE);
    if (!c->slot || !c->bucket || !c->data ||
        os_commit(c->bucket, nbuckets * sizeof(*c->bucket)) < 0)
        return -E_NO_MEM;
    memset(c->bucket, 0xff, nbuckets * sizeof(*c->bucket));
    memset(c->dirty, 0xff, sizeof(c->dirty));
    c->unused = CACHE_NONE;
    c->bucket_mask = nbuckets - 1;
    c->nslots = nslots;
    c->disk = disk;
    return 0;
}

/* A slot that holds no block any more. */
static void give_back(struct Cache *c, uint32_t i)
{
    c->slot[i].next = c->unused;
    c->unused = i;
    c->nunused++;
}

/* Memory for n more slots, whose structs are in one page. -E_NO_MEM. */
static int add_slots(struct Cache *c, uint32_t n)
{
    uint32_t first = c->nused;
    int r = 0;

    if (first % SLOTS_IN_PAGE == 0)
        r = os_commit(&c->slot[first], PGSIZE_FS);
    if (r == 0)
        r = os_commit(cache_data(c, first), (size_t)n * BLKSIZE);
    if (r < 0)
        return r;
    c->nused += n;
    while (n-- > 0)
        give_back(c, first + n);
    return 0;
}

/* Memory for some more slots, up to the limit, or for as many as there is memory. -E_NO_MEM. */
static int grow(struct Cache *c)
{
    uint32_t n = MIN(GROW - c->nused % GROW, c->nslots - c->nused);
    int r = add_slots(c, n);

    return r < 0 && n > 1 ? add_slots(c, 1) : r;
}

static void unlink_slot(struct Cache *c, uint32_t i)
{
    uint16_t *link = cache_bucket(c, c->slot[i].block);

    while (*link != i)
        link = &c->slot[*link].next;
    *link = c->slot[i].next;
    c->slot[i].used = false;
}

static void link_slot(struct Cache *c, uint32_t i, uint32_t block)
{
    uint16_t *head = cache_bucket(c, block);

    c->slot[i] = (struct CacheSlot){
        .block = block, .stamp = c->gets, .next = *head, .used = true, .referenced = true
    };
    *head = i;
}

static bool may_evict(const struct Cache *c, const struct CacheSlot *s)
{
    return s->used && !s->dirty && c->gets - s->stamp > CACHE_GRACE;
}

/* A slot for a new block: one that holds none, or else one with fresh memory while there are any,
 * or else a clean one that was not used lately. CACHE_NONE: none. */
static uint32_t take_slot(struct Cache *c)
{
    uint32_t i = c->unused;

    if (i == CACHE_NONE && c->nused < c->nslots) {
        if (grow(c) < 0)
            c->nslots = c->nused; /* no memory: the cache stays as small as it is */
        i = c->unused;
    }
    if (i != CACHE_NONE) {
        c->unused = c->slot[i].next;
        c->nunused--;
        return i;
    }
    for (uint32_t n = 0; n < 2 * c->nslots; n++) {
        i = c->hand;
        c->hand = c->hand + 1 < c->nslots ? c->hand + 1 : 0;
        struct CacheSlot *s = &c->slot[i];
        if (!may_evict(c, s))
            continue;
        if (!s->referenced) {
            unlink_slot(c, i);
            return i;
        }
        s->referenced = false;
    }
    return CACHE_NONE;
}

/* Bring in a block that is not in the cache. */
static int __attribute__((noinline))
fill(struct Cache *c, uint32_t block, enum CacheHow how, void **out)
{
    if (how == CACHE_READ && c->cached_only)
        return -E_AGAIN;
    c->gets++;
    uint32_t i = take_slot(c);
    if (i == CACHE_NONE)
        return -E_NO_MEM;
    *out = cache_data(c, i);
    if (how == CACHE_READ) {
        int r = c->disk->read(c->disk, block, 1, out);
        if (r < 0) {
            give_back(c, i);
            return r;
        }
    }
    link_slot(c, i, block);
    return 0;
}

int cache_get(struct Cache *c, uint32_t block, enum CacheHow how, void **out)
{
    if (!(*out = cache_find(c, block))) {
        int r = fill(c, block, how, out);
        if (r < 0)
            return r;
    }
    if (how == CACHE_ZERO)
        memset(*out, 0, BLKSIZE);
    return 0;
}

bool cache_has(const struct Cache *c, uint32_t block)
{
    return cache_slot(c, block) != CACHE_NONE;
}

void cache_readahead(struct Cache *c, uint32_t block, uint32_t n)
{
    void *page[DISK_MAX_RUN];
    uint32_t slot[DISK_MAX_RUN], got;

    n = MIN(MIN(n, c->disk->max_run), c->nslots / 4);
    for (got = 0; got < n; got++) {
        slot[got] = take_slot(c);
        if (slot[got] == CACHE_NONE)
            break;
        /* Linked at once, so that the clock does not hand it out again. */
        link_slot(c, slot[got], block + got);
        page[got] = cache_data(c, slot[got]);
    }
    if (got && c->disk->read(c->disk, block, got, page) < 0)
        while (got--) {
            unlink_slot(c, slot[got]);
            give_back(c, slot[got]);
        }
}

static uint32_t slot_of(const struct Cache *c, const void *p)
{
    return ((const char *)p - c->data) / BLKSIZE;
}

/* Append slot i to the dirty ones of a class. */
static void soil_slot(struct Cache *c, uint32_t i, enum BlockClass class)
{
    struct CacheSlot *s = &c->slot[i];
    uint16_t last = c->dirty[class].last;

    s->dirty = true;
    s->class = class;
    s->dirty_next = CACHE_NONE;
    s->dirty_prev = last;
    *(last == CACHE_NONE ? &c->dirty[class].first : &c->slot[last].dirty_next) = i;
    c->dirty[class].last = i;
    c->ndirty[class]++;
    c->ndirty_all++;
}

static void clean_slot(struct Cache *c, uint32_t i)
{
    struct CacheSlot *s = &c->slot[i];
    uint16_t next = s->dirty_next, prev = s->dirty_prev;

    s->dirty = false;
    *(prev == CACHE_NONE ? &c->dirty[s->class].first : &c->slot[prev].dirty_next) = next;
    *(next == CACHE_NONE ? &c->dirty[s->class].last : &c->slot[next].dirty_prev) = prev;
    c->ndirty[s->class]--;
    c->ndirty_all--;
}

void cache_dirty(struct Cache *c, const void *p, enum BlockClass class)
{
    uint32_t i = slot_of(c, p);

    if (c->slot[i].dirty && c->slot[i].class <= class)
        return;
    if (c->slot[i].dirty)
        clean_slot(c, i);
    soil_slot(c, i, class);
}

bool cache_is_dirty(const struct Cache *c, const void *p, enum BlockClass class)
{
    const struct CacheSlot *s = &c->slot[slot_of(c, p)];
    return s->dirty && s->class == class;
}

void cache_forget(struct Cache *c, uint32_t block)
{
    uint32_t i = cache_slot(c, block);

    if (i == CACHE_NONE)
        return;
    if (c->slot[i].dirty)
        clean_slot(c, i);
    unlink_slot(c, i);
    give_back(c, i);
}

/* Slot of a block if it is dirty and of this class, else CACHE_NONE. */
static uint32_t find_dirty(const struct Cache *c, uint32_t block, enum BlockClass class)
{
    uint32_t i = cache_slot(c, block);
    return i != CACHE_NONE && c->slot[i].dirty && c->slot[i].class == class ? i : CACHE_NONE;
}

/* Write the run of contiguous dirty blocks around slot i. Returns its length or -E_IO. */
static int write_run(struct Cache *c, uint32_t i, enum BlockClass class)
{
    void *page[DISK_MAX_RUN] = { cache_data(c, i) };
    uint32_t slot[DISK_MAX_RUN], n = 0, first = c->slot[i].block;

    while (first > 0 && find_dirty(c, first - 1, class) != CACHE_NONE)
        first--;
    for (; n < c->disk->max_run; n++) {
        slot[n] = find_dirty(c, first + n, class);
        if (slot[n] == CACHE_NONE)
            break;
        page[n] = cache_data(c, slot[n]);
    }
    int r = c->disk->write(c->disk, first, n, page);
    if (r < 0)
        return r;
    for (uint32_t k = 0; k < n; k++)
        clean_slot(c, slot[k]);
    return n;
}

int cache_write(struct Cache *c, enum BlockClass class)
{
    int done = 0;

    while (c->dirty[class].first != CACHE_NONE) {
        int r = write_run(c, c->dirty[class].first, class);
        if (r < 0)
            return r;
        done += r;
    }
    return done;
}
