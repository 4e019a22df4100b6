/*
 * The entries of large directories by name: a hash table in memory, so that looking a name up costs
 * the same in a directory of 10,000 files as in one of 100. The disk knows nothing of it. A
 * directory is in the table completely or not at all, from the first look into it on; names stay
 * on the disk, so a match is only a place where to look. The table is of bounded size: when it is
 * full, all of it is forgotten.
 */
#include <fs/core/bitmap.h>
#include <fs/core/dir.h>
#include <fs/core/disk.h>
#include <fs/core/format.h>
#include <fs/core/fs.h>
#include <fs/core/index.h>

#include <inc/error.h>
#include <inc/string.h>

#define MAX_NODES 32768u /* entries, of all directories together */
#define NBUCKETS  16384u
#define NODES_STEP                                                                \
    (BLKSIZE / sizeof(struct IndexNode)) /* memory is taken for so many at a time \
                                          */
#define HASH_START  2166136261u          /* FNV-1a, 32 bits */
#define HASH_FACTOR 16777619u

static uint32_t hash_of(uint32_t dir, const char *name)
{
    uint32_t h = HASH_START ^ dir * HASH_FACTOR;

    for (size_t i = 0; i < MAXNAMELEN && name[i]; i++)
        h = (h ^ (unsigned char)name[i]) * HASH_FACTOR;
    return h;
}

static uint32_t limit(const struct DirIndex *x)
{
    return x->limit ? MIN(x->limit, MAX_NODES) : MAX_NODES;
}

static uint32_t *bucket_of(const struct DirIndex *x, uint32_t hash)
{
    return &x->bucket[(hash ^ hash >> 16) % NBUCKETS];
}

/* The tables, when the first large directory is met. They stay. */
static int set_up(struct Fs *fs)
{
    struct DirIndex *x = &fs->index;
    size_t bits = (fs->super.ninodes + 7) / 8;

    if (x->whole)
        return 0;
    if (!x->bucket)
        x->bucket = os_reserve(NBUCKETS * sizeof(*x->bucket));
    if (!x->node)
        x->node = os_reserve(MAX_NODES * sizeof(*x->node));
    uint8_t *whole = os_reserve(bits);
    if (!x->bucket || !x->node || !whole || os_commit(whole, bits) < 0 ||
        os_commit(x->bucket, NBUCKETS * sizeof(*x->bucket)) < 0)
        return -E_NO_MEM;
    x->whole = whole;
    x->nused = 1; /* node 0 is the end of a list */
    return 0;
}

void index_forget(struct Fs *fs)
{
    struct DirIndex *x = &fs->index;

    if (!x->whole)
        return;
    memset(x->bucket, 0, NBUCKETS * sizeof(*x->bucket));
    memset(x->whole, 0, (fs->super.ninodes + 7) / 8);
    x->nused = 1;
    x->free = 0;
}

bool index_has(const struct Fs *fs, uint32_t dir)
{
    return fs->index.whole && fs_bit_get(fs->index.whole, dir);
}

/* A node that is in no list, 0: there is none left, or no memory for it. */
static uint32_t node_take(struct DirIndex *x)
{
    uint32_t n = x->free;

    if (n) {
        x->free = x->node[n].next;
        return n;
    }
    if (x->nused >= limit(x))
        return 0;
    if (x->nused >= x->ncommitted) {
        if (os_commit(&x->node[x->ncommitted], NODES_STEP * sizeof(*x->node)) < 0)
            return 0;
        x->ncommitted += NODES_STEP;
    }
    return x->nused++;
}

static int add(struct Fs *fs, uint32_t dir, const char *name, uint32_t place)
{
    struct DirIndex *x = &fs->index;
    uint32_t hash = hash_of(dir, name), *head = bucket_of(x, hash), n = node_take(x);

    if (!n)
        return -E_NO_MEM;
    x->node[n] = (struct IndexNode){ .hash = hash, .dir = dir, .place = place, .next = *head };
    *head = n;
    return 0;
}

void index_add(struct Fs *fs, uint32_t dir, const char *name, uint32_t place)
{
    if (index_has(fs, dir) && add(fs, dir, name, place) < 0)
        index_forget(fs);
}

/* The link that leads to the node of this entry; NULL: there is none. */
static uint32_t *find_link(struct Fs *fs, uint32_t dir, const char *name, uint32_t place)
{
    struct DirIndex *x = &fs->index;
    uint32_t *link = bucket_of(x, hash_of(dir, name));

    while (*link && (x->node[*link].dir != dir || x->node[*link].place != place))
        link = &x->node[*link].next;
    return *link ? link : NULL;
}

void index_remove(struct Fs *fs, uint32_t dir, const char *name, uint32_t place)
{
    struct DirIndex *x = &fs->index;
    uint32_t *link, n;

    if (!index_has(fs, dir))
        return;
    if (!(link = find_link(fs, dir, name, place))) {
        index_forget(fs);
        return;
    }
    n = *link;
    *link = x->node[n].next;
    x->node[n].next = x->free;
    x->free = n;
}

void index_move(struct Fs *fs, uint32_t dir, const char *name, uint32_t from, uint32_t to)
{
    uint32_t *link;

    if (!index_has(fs, dir))
        return;
    if ((link = find_link(fs, dir, name, from)))
        fs->index.node[*link].place = to;
    else
        index_forget(fs);
}

/* Enter all entries. */
static int enter(struct Fs *fs, uint32_t dir, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct FsDirent *ent;
        int r = fs_dirent(fs, dir, i, &ent);
        if (r < 0 || (r = add(fs, dir, ent->d_name, i)) < 0)
            return r;
    }
    fs_bit_set(fs->index.whole, dir, true);
    return 0;
}

int index_build(struct Fs *fs, uint32_t dir, uint32_t count)
{
    int r;

    if (index_has(fs, dir))
        return 0;
    if (count >= limit(&fs->index) || (r = set_up(fs)) < 0)
        return -E_NO_MEM;
    r = enter(fs, dir, count);
    if (r == -E_NO_MEM) { /* others fill the table: start over with this one */
        index_forget(fs);
        r = enter(fs, dir, count);
    }
    if (r < 0)
        index_forget(fs);
    return r;
}

uint32_t index_find(const struct Fs *fs, uint32_t dir, const char *name, uint32_t after,
                    uint32_t *place)
{
    const struct DirIndex *x = &fs->index;
    uint32_t hash = hash_of(dir, name), n = after ? x->node[after].next : *bucket_of(x, hash);

    while (n && (x->node[n].hash != hash || x->node[n].dir != dir))
        n = x->node[n].next;
    if (n)
        *place = x->node[n].place;
    return n;
}
