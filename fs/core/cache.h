/*
 * The block cache: write-back, of bounded size. Memory is taken for a few slots at a time, and not
 * before all slots that have some hold a block. What an operation costs does not depend on the
 * size.
 */
#ifndef JOS_FS_CORE_CACHE_H
#define JOS_FS_CORE_CACHE_H

#include <fs/core/disk.h>
#include <inc/fs.h>

/*
 * What a changed block holds. Classes are written in this order, so that nothing on disk ever
 * points to something that is not there yet: a block is marked as used before anything points to
 * it, and data (that of directories too) is written before the tables and inodes that point to it.
 */
enum BlockClass {
    BC_BITMAP = 0,
    BC_MOVED, /* of a directory, with an entry that was in another of its blocks before (dir.c) */
    BC_DATA,
    BC_INDIRECT,
    BC_DINDIRECT,
    BC_INODE,
    BC_NCLASSES
};

/* How cache_get brings a block in. */
enum CacheHow {
    CACHE_READ,  /* from disk */
    CACHE_ZERO,  /* new block: all zeroes */
    CACHE_BLANK, /* the caller overwrites all of it */
};

#define CACHE_MIN 64u    /* slots */
#define CACHE_MAX 65534u /* slots */
/* A pointer from cache_get stays valid until this many later calls of cache_get. */
#define CACHE_GRACE 16

struct CacheSlot {
    uint32_t block;
    uint32_t stamp;                  /* value of Cache.gets at its last use */
    uint16_t next;                   /* in the hash chain, or of the unused slots */
    uint16_t dirty_next, dirty_prev; /* when dirty, in the list of its class */
    uint8_t class;                   /* enum BlockClass, when dirty */
    bool used : 1, dirty : 1, referenced : 1;
};
_Static_assert(PGSIZE_FS % sizeof(struct CacheSlot) == 0, "slots get memory by the page");

struct Cache {
    struct Disk *disk;
    char *data; /* slot i's block is at data + i * BLKSIZE */
    struct CacheSlot *slot;
    uint16_t *bucket; /* first slot of each hash chain */
    uint32_t bucket_mask;
    uint32_t nslots; /* limit */
    uint32_t nused;  /* slots that have memory */
    uint32_t unused; /* first of those among them that hold no block; CACHE_NONE: none */
    uint32_t nunused;
    uint32_t hand; /* of the clock that picks a victim */
    uint32_t gets;
    bool cached_only; /* what would have to wait for the disk fails with -E_AGAIN instead */
    uint32_t ndirty[BC_NCLASSES], ndirty_all;
    struct {
        uint16_t first, last; /* CACHE_NONE: there is none */
    } dirty[BC_NCLASSES];     /* in the order in which they were changed */
};

/* ---- How cache.c and cache_find find a block ---- */

#define CACHE_NONE 0xffff /* no slot */

static inline uint16_t *cache_bucket(const struct Cache *c, uint32_t block)
{
    return &c->bucket[(block ^ block >> 12) & c->bucket_mask];
}

static inline void *cache_data(const struct Cache *c, uint32_t i)
{
    return c->data + (size_t)i * BLKSIZE;
}

/* Slot of a block, or CACHE_NONE. */
static inline uint32_t cache_slot(const struct Cache *c, uint32_t block)
{
    uint32_t i = *cache_bucket(c, block);
    while (i != CACHE_NONE && c->slot[i].block != block)
        i = c->slot[i].next;
    return i;
}

/* ---- */

/* Set up a cache of nslots blocks (brought into CACHE_MIN..CACHE_MAX). -E_NO_MEM. */
int cache_init(struct Cache *c, struct Disk *disk, uint32_t nslots);
/* *out gets the memory of a block. -E_IO; -E_NO_MEM: all slots are dirty or were used just now;
 * -E_AGAIN: cached_only, and the block would have to be read. */
int cache_get(struct Cache *c, uint32_t block, enum CacheHow how, void **out);
/* The memory of a block, as after cache_get; NULL if it is not in the cache. */
static inline void *cache_find(struct Cache *c, uint32_t block)
{
    uint32_t i = cache_slot(c, block);
    struct CacheSlot *s = &c->slot[i];

    if (i == CACHE_NONE)
        return NULL;
    s->stamp = ++c->gets;
    s->referenced = true;
    return cache_data(c, i);
}
bool cache_has(const struct Cache *c, uint32_t block);
/* How many blocks can come in without others going? */
static inline uint32_t cache_room(const struct Cache *c)
{
    return c->nslots - c->nused + c->nunused;
}
/* Read n (up to the disk's max_run) contiguous blocks ahead, none of which is in the cache. Best
 * effort. */
void cache_readahead(struct Cache *c, uint32_t block, uint32_t n);
/* p, inside a block that cache_get returned, was changed. A block that is dirty already keeps its
 * class if that is written earlier. */
void cache_dirty(struct Cache *c, const void *p, enum BlockClass class);
/* Is the block with p in it dirty, in this class? */
bool cache_is_dirty(const struct Cache *c, const void *p, enum BlockClass class);
/* The block was freed: what it held need not be written. */
void cache_forget(struct Cache *c, uint32_t block);
/* Write all dirty blocks of a class, contiguous ones together. Returns the number of blocks or
 * -E_IO. */
int cache_write(struct Cache *c, enum BlockClass class);

#endif
