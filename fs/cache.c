/*
 * The block cache. A hash table finds a block's slot; a clock picks the slot to reuse, and passes
 * over dirty ones: the file system writes back in time (fs_writeback), in an order that the cache
 * cannot know.
 */
#include <fs/cache.h>

#include <inc/error.h>
#include <inc/string.h>

int cache_init(struct Cache *c, struct Disk *disk, uint32_t nslots)
{
    uint32_t nbuckets = CACHE_MIN;

    memset(c, 0, sizeof(*c));
    nslots = MIN(MAX(nslots, CACHE_MIN), CACHE_MAX);
    while (nbuckets < nslots)
        nbuckets *= 2;
    size_t tables = nslots * sizeof(*c->slot) + nbuckets * sizeof(*c->bucket);
    c->slot = os_reserve(tables);
    c->data = os_reserve((size_t)nslots * BLKSIZE);
    if (!c->slot || !c->data || os_commit(c->slot, tables) < 0)
        return -E_NO_MEM;
    c->bucket = (uint16_t *)(c->slot + nslots);
    memset(c->bucket, 0xff, nbuckets * sizeof(*c->bucket));
    c->bucket_mask = nbuckets - 1;
    c->nslots = nslots;
    c->disk = disk;
    return 0;
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
    return !s->dirty && (!s->used || c->gets - s->stamp > CACHE_GRACE);
}

/* A slot for a new block: one with fresh memory while there are any, else a clean one that was not
 * used lately. CACHE_NONE: none. */
static uint32_t take_slot(struct Cache *c)
{
    if (c->nused < c->nslots) {
        if (os_commit(cache_data(c, c->nused), BLKSIZE) == 0)
            return c->nused++;
        c->nslots = c->nused; /* no memory: the cache stays as small as it is */
    }
    for (uint32_t n = 0; n < 2 * c->nslots; n++) {
        uint32_t i = c->hand;
        c->hand = c->hand + 1 < c->nslots ? c->hand + 1 : 0;
        struct CacheSlot *s = &c->slot[i];
        if (!may_evict(c, s))
            continue;
        if (s->used && s->referenced) {
            s->referenced = false;
            continue;
        }
        if (s->used)
            unlink_slot(c, i);
        return i;
    }
    return CACHE_NONE;
}

/* Bring in a block that is not in the cache. */
static int __attribute__((noinline))
fill(struct Cache *c, uint32_t block, enum CacheHow how, void **out)
{
    c->gets++;
    uint32_t i = take_slot(c);
    if (i == CACHE_NONE)
        return -E_NO_MEM;
    *out = cache_data(c, i);
    if (how == CACHE_READ) {
        int r = c->disk->read(c->disk, block, 1, out);
        if (r < 0)
            return r; /* the slot stays unused and is found again by the clock */
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
        while (got--)
            unlink_slot(c, slot[got]);
}

static struct CacheSlot *slot_of(const struct Cache *c, const void *p)
{
    return &c->slot[((const char *)p - c->data) / BLKSIZE];
}

static void clean_slot(struct Cache *c, struct CacheSlot *s)
{
    s->dirty = false;
    c->ndirty[s->class]--;
    c->ndirty_all--;
}

void cache_dirty(struct Cache *c, const void *p, enum BlockClass class)
{
    struct CacheSlot *s = slot_of(c, p);

    if (s->dirty && s->class <= class)
        return;
    if (s->dirty)
        clean_slot(c, s);
    s->dirty = true;
    s->class = class;
    c->ndirty[class]++;
    c->ndirty_all++;
}

bool cache_is_dirty(const struct Cache *c, const void *p, enum BlockClass class)
{
    const struct CacheSlot *s = slot_of(c, p);
    return s->dirty && s->class == class;
}

void cache_forget(struct Cache *c, uint32_t block)
{
    uint32_t i = cache_slot(c, block);

    if (i == CACHE_NONE)
        return;
    if (c->slot[i].dirty)
        clean_slot(c, &c->slot[i]);
    unlink_slot(c, i);
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
        clean_slot(c, &c->slot[slot[k]]);
    return n;
}

int cache_write(struct Cache *c, enum BlockClass class)
{
    int done = 0;

    for (uint32_t i = 0; c->ndirty[class] && i < c->nused; i++)
        while (c->slot[i].dirty && c->slot[i].class == class) {
            int r = write_run(c, i, class);
            if (r < 0)
                return r;
            done += r;
        }
    return done;
}
