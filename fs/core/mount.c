/*
 * Making and mounting a file system.
 */
#include <inc/error.h>
#include <inc/string.h>
#include <fs/core/alloc.h>
#include <fs/core/bitmap.h>
#include <fs/core/cache.h>
#include <fs/core/disk.h>
#include <fs/core/format.h>
#include <fs/core/fs.h>
#include <fs/core/mount.h>
#include <fs/core/super.h>
#include <fs/core/sync.h>

/* A bit map in memory with room for n bits. */
static uint8_t *bits_alloc(uint32_t n)
{
    size_t size = fs_div_up(n, 8);
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

/* The blocks before the data area are in use, and so are the bits after the last block. */
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
