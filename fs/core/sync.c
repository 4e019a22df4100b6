/*
 * Writing back. The order of writes keeps one promise: whenever a run is killed, no block that
 * something on disk points to is marked free, and nothing points to a block whose contents are not
 * there yet. What can be left over is lost space and half-done changes of directories.
 */
#include <inc/error.h>
#include <inc/string.h>
#include <fs/core/bitmap.h>
#include <fs/core/cache.h>
#include <fs/core/format.h>
#include <fs/core/fs.h>
#include <fs/core/super.h>
#include <fs/core/sync.h>

#define DIRTY_LIMIT                                                              \
    1024u /* blocks that may wait to be written: nobody is served while they are \
           */
/* On a disk that may have less space than blocks: what one request makes dirty, at most, beside the
 * bitmap; and what is left for requests that remove something, and so make space. */
#define STEP_BLOCKS   16
#define REMOVE_BLOCKS 32

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
        memset(fs->ipending, 0, fs_div_up(fs->super.ninodes, 8));
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
    if (fs->cache.ndirty_all <= MIN(fs->cache.nslots / 2, DIRTY_LIMIT))
        return 0;
    return fs->cache.cached_only ? -E_AGAIN : fs_writeback(fs);
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
