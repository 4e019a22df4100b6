/*
 * The superblock, mounting, and writing back. The order of writes keeps one promise: whenever a run
 * is killed, no block that something on disk points to is marked free, and nothing points to a
 * block whose contents are not there yet. What can be left over is lost space and half-done changes
 * of directories.
 */
#include <fs/core/core.h>

#include <inc/error.h>
#include <inc/string.h>

#define BLOCKS_PER_INODE 4     /* mkfs makes one inode for so many blocks */
#define DIRTY_LIMIT      1024u /* blocks that may wait to be written: nobody is served meanwhile */
/* On a disk that may have less space than blocks: what one request makes dirty, at most, beside the
 * bitmap; and what is left for requests that remove something, and so make space. */
#define STEP_BLOCKS   16
#define REMOVE_BLOCKS 32
#define COMPLAINTS_MAX \
    20 /* messages about corruption, so that a bad disk does not flood the console */

static uint32_t div_up(uint64_t n, uint32_t d)
{
    return (n + d - 1) / d;
}

void fs_layout(struct FsSuper *s, uint32_t nblocks)
{
    *s = (struct FsSuper){
        .magic = FS_MAGIC, .version = FS_VERSION, .nblocks = nblocks, .clean = 1
    };
    s->bitmap_start = 1;
    s->bitmap_blocks = div_up(nblocks, FS_BITS_PER_BLOCK);
    s->inode_start = s->bitmap_start + s->bitmap_blocks;
    s->inode_blocks = div_up(div_up(nblocks, BLOCKS_PER_INODE), FS_INODES_PER_BLOCK);
    s->ninodes = s->inode_blocks * FS_INODES_PER_BLOCK;
    s->data_start = s->inode_start + s->inode_blocks;
    s->checksum = -fs_super_sum(s);
}

uint32_t fs_super_sum(const struct FsSuper *s)
{
    uint32_t word[sizeof(*s) / sizeof(uint32_t)], sum = 0;

    memcpy(word, s, sizeof(word));
    for (size_t i = 0; i < ARRAY_SIZE(word); i++)
        sum += word[i];
    return sum;
}

const char *fs_super_check(const struct FsSuper *s, uint32_t disk_blocks)
{
    struct FsSuper want;

    if (s->magic != FS_MAGIC)
        return "no file system here";
    if (s->version != FS_VERSION)
        return "a version of the file system that this program does not know";
    if (fs_super_sum(s) != 0)
        return "the superblock's checksum is wrong";
    if (s->nblocks < FS_MINBLOCKS || s->nblocks > disk_blocks)
        return "the file system is larger than the disk";
    if (s->clean > 1)
        return "the superblock's clean mark is neither 0 nor 1";
    fs_layout(&want, s->nblocks);
    want.clean = s->clean;
    want.checksum = s->checksum;
    if (memcmp(&want, s, sizeof(want)) != 0)
        return "the superblock's layout contradicts itself";
    return NULL;
}

int fs_complain(struct Fs *fs, const char *what, uint64_t number)
{
    if (fs->complaints < COMPLAINTS_MAX)
        os_say("fs: corrupt: %s (%lu)", what, (unsigned long)number);
    if (++fs->complaints == COMPLAINTS_MAX)
        os_say("fs: more of these will not be printed; check the disk with fsck");
    return -E_CORRUPT;
}

/* A bit map in memory with room for n bits. */
static uint8_t *bits_alloc(uint32_t n)
{
    size_t size = div_up(n, 8);
    uint8_t *p = os_reserve(size);

    return p && os_commit(p, size) == 0 ? p : NULL;
}

static int set_up(struct Fs *fs, struct Disk *disk, uint32_t cache_blocks)
{
    bool (*in_use)(uint32_t) = fs->in_use;

    memset(fs, 0, sizeof(*fs));
    fs->disk = disk;
    fs->in_use = in_use;
    return cache_init(&fs->cache, disk, cache_blocks);
}

/* Tables in memory, once the superblock is known. */
static int set_up_tables(struct Fs *fs)
{
    fs->block_hint = fs->super.data_start;
    fs->inode_hint = FS_ROOT + 1;
    fs->pending = bits_alloc(fs->super.nblocks);
    fs->ipending = bits_alloc(fs->super.ninodes);
    return fs->pending && fs->ipending ? 0 : -E_NO_MEM;
}

int fs_mount(struct Fs *fs, struct Disk *disk, uint32_t cache_blocks)
{
    void *p;
    int r;

    if ((r = set_up(fs, disk, cache_blocks)) < 0 ||
        (r = cache_get(&fs->cache, 0, CACHE_READ, &p)) < 0)
        return r;
    memcpy(&fs->super, p, sizeof(fs->super));
    const char *why = fs_super_check(&fs->super, disk->nblocks);
    if (why) {
        os_say("fs: %s: %s", disk->name, why);
        return -E_CORRUPT;
    }
    if ((r = set_up_tables(fs)) < 0)
        return r;
    return fs_count_free(fs);
}

/* Mark blocks [from, to) as used in a fresh bitmap. */
static int format_used(struct Fs *fs, uint32_t from, uint32_t to)
{
    for (uint32_t b = from; b < to; b++) {
        void *p;
        int r =
            cache_get(&fs->cache, fs->super.bitmap_start + b / FS_BITS_PER_BLOCK, CACHE_READ, &p);
        if (r < 0)
            return r;
        ((uint8_t *)p)[b % FS_BITS_PER_BLOCK / 8] |= 1 << b % 8;
        cache_dirty(&fs->cache, p, BC_BITMAP);
    }
    return 0;
}

/* The blocks before the data area are in use, and so are the bits behind the last block. */
static int format_bitmap(struct Fs *fs)
{
    int r = format_used(fs, 0, fs->super.data_start);

    if (r < 0)
        return r;
    return format_used(fs, fs->super.nblocks, fs->super.bitmap_blocks * FS_BITS_PER_BLOCK);
}

int fs_format(struct Fs *fs, struct Disk *disk, uint32_t cache_blocks)
{
    struct FsInode *root;
    int r;

    if ((r = set_up(fs, disk, cache_blocks)) < 0)
        return r;
    fs_layout(&fs->super, disk->nblocks);
    const char *why = fs_super_check(&fs->super, disk->nblocks);
    if (why || fs->super.data_start >= fs->super.nblocks)
        return -E_INVAL;
    if ((r = set_up_tables(fs)) < 0 || (r = format_bitmap(fs)) < 0 || (r = fs_count_free(fs)) < 0)
        return r;
    if ((r = fs_inode(fs, FS_ROOT, &root)) < 0)
        return r;
    root->i_type = FS_DIR;
    fs_inode_dirty(fs, root);
    return fs_sync(fs);
}

/* Write the superblock with this clean mark, past the cache's order. */
static int write_super(struct Fs *fs, bool clean)
{
    void *p;
    int r = cache_get(&fs->cache, 0, CACHE_READ, &p);

    if (r < 0)
        return r;
    fs->super.clean = clean;
    fs->super.checksum = 0;
    fs->super.checksum = -fs_super_sum(&fs->super);
    memcpy(p, &fs->super, sizeof(fs->super));
    if ((r = fs->disk->write(fs->disk, 0, 1, &p)) < 0)
        return r;
    return fs->disk->flush(fs->disk);
}

/* Write the dirty blocks of one class; they are safe before the next class is written. */
static int write_class(struct Fs *fs, enum BlockClass class)
{
    int r = cache_write(&fs->cache, class);

    return r > 0 ? fs->disk->flush(fs->disk) : r;
}

int fs_write_moved(struct Fs *fs)
{
    int r;

    if (!fs->cache.ndirty[BC_MOVED] || fs->read_only)
        return 0;
    if (fs->super.clean && (r = write_super(fs, false)) < 0)
        return r;
    return write_class(fs, BC_MOVED);
}

int fs_writeback(struct Fs *fs)
{
    int r;

    if (fs->read_only)
        return 0;
    if (fs->cache.ndirty_all && fs->super.clean && (r = write_super(fs, false)) < 0)
        return r;
    for (int class = 0; class < BC_NCLASSES; class ++)
        if ((r = write_class(fs, class)) < 0)
            return r;
    /* From here on nothing on disk points to what was freed. */
    if (fs->nipending)
        memset(fs->ipending, 0, div_up(fs->super.ninodes, 8));
    fs->nipending = 0;
    if (!fs->npending)
        return 0;
    if ((r = fs_release_pending(fs)) < 0)
        return r;
    return write_class(fs, BC_BITMAP);
}

int fs_sync(struct Fs *fs)
{
    int r = fs_writeback(fs);

    if (r < 0 || fs->super.clean || fs->norphans || fs->read_only)
        return r;
    return write_super(fs, true);
}

int fs_make_room(struct Fs *fs)
{
    return fs->cache.ndirty_all > MIN(fs->cache.nslots / 2, DIRTY_LIMIT) ? fs_writeback(fs) : 0;
}

/* Does the disk take n blocks more than those that are dirty? */
static bool has_room(struct Fs *fs, uint32_t n)
{
    n += fs->cache.ndirty_all;
    return fs->disk->room(fs->disk, n) >= n;
}

int fs_may_change(struct Fs *fs, bool adds)
{
    uint32_t n = STEP_BLOCKS + fs->super.bitmap_blocks + (adds ? REMOVE_BLOCKS : 0);
    int r;

    if (!fs->disk->room || has_room(fs, n))
        return 0;
    /* Some of what is dirty may have its space on the disk already. */
    if ((r = fs_writeback(fs)) < 0)
        return r;
    return has_room(fs, n) ? 0 : -E_NO_DISK;
}

uint32_t fs_free_blocks(const struct Fs *fs)
{
    return fs->nfree + fs->npending;
}
