/*
 * Quick recovery when a disk was not shut down cleanly. The order of writes (fs/core/sync.c)
 * leaves nothing worse behind than space that is lost, and names: of files that never got there,
 * and second ones of files whose entry was being moved. So this compares the bitmap with what the
 * inodes use, and takes those names out, before they can come to mean other files. What is left is
 * for fsck.
 */
#include <fs/core/alloc.h>
#include <fs/core/bitmap.h>
#include <fs/core/cache.h>
#include <fs/core/dir.h>
#include <fs/core/file.h>
#include <fs/core/format.h>
#include <fs/core/fs.h>
#include <fs/core/recover.h>
#include <fs/core/sync.h>

#include <inc/error.h>
#include <inc/string.h>

/* fs->pending is all zeroes between mounting and the first change: until then it holds the bits of
 * the blocks in use that were found. */
static int mark(struct Fs *fs, uint32_t block)
{
    if (!fs_block_ok(fs, block))
        return fs_complain(fs, "a block pointer is outside of the data area", block);
    if (fs_bit_get(fs->pending, block))
        return fs_complain(fs, "a block is in use twice", block);
    fs_bit_set(fs->pending, block, true);
    return 0;
}

/* Mark a block and, if it is a table (depth > 0), all below it. */
static int mark_tree(struct Fs *fs, uint32_t block, int depth)
{
    int r = block ? mark(fs, block) : 0;

    for (uint32_t i = 0; r == 0 && block && depth > 0 && i < FS_NINDIRECT; i++) {
        void *p;
        if ((r = cache_get(&fs->cache, block, CACHE_READ, &p)) == 0)
            r = mark_tree(fs, ((uint32_t *)p)[i], depth - 1);
    }
    return r;
}

static int mark_inodes(struct Fs *fs)
{
    for (uint32_t inum = FS_ROOT; inum < fs->super.ninodes; inum++) {
        struct FsInode *ip, copy;
        int r = fs_inode(fs, inum, &ip);
        if (r < 0)
            return r;
        if (ip->i_type == FS_FREE)
            continue;
        copy = *ip;
        for (int i = 0; r == 0 && i < FS_NDIRECT; i++)
            r = mark_tree(fs, copy.i_direct[i], 0);
        if (r < 0 || (r = mark_tree(fs, copy.i_indirect, 1)) < 0 ||
            (r = mark_tree(fs, copy.i_dindirect, 2)) < 0)
            return r;
    }
    return 0;
}

/* Make the bitmap say what was found. Returns how many blocks became free. */
static int correct_bitmap(struct Fs *fs)
{
    int won = 0;

    for (uint32_t b = fs->super.data_start; b < fs->super.nblocks; b++) {
        uint8_t *map;
        int r = fs_bitmap_of(fs, b, &map);
        if (r < 0)
            return r;
        bool used = fs_bit_get(fs->pending, b);
        if (fs_bit_get(map, b % FS_BITS_PER_BLOCK) == used)
            continue;
        fs_bit_set(map, b % FS_BITS_PER_BLOCK, used);
        cache_dirty(&fs->cache, map, BC_BITMAP);
        won += !used;
    }
    return won;
}

/* Does an entry name this inode for the first time, and is that in use? Inode 0: the entry was
 * cleared. fs->ipending is all zeroes now: it holds the bits of the inodes that have been named. */
static int is_first_name(struct Fs *fs, uint32_t inum)
{
    struct FsInode *ip;
    int r = inum ? fs_inode(fs, inum, &ip) : 0;

    if (r < 0 || inum == 0)
        return r;
    if (ip->i_type == FS_FREE || fs_bit_get(fs->ipending, inum))
        return 0;
    fs_bit_set(fs->ipending, inum, true);
    return 1;
}

/* Take out of a directory what names nothing, or a file that has a name. */
static int mend_dir(struct Fs *fs, uint32_t dir)
{
    uint32_t place = 0;

    for (;;) {
        struct FsDirent *ent;
        struct FsInode *ip;
        int r = fs_inode_used(fs, dir, &ip);
        if (r < 0 || place >= ip->i_size / sizeof(*ent))
            return r;
        if ((r = fs_dirent(fs, dir, place, &ent)) < 0 || (r = is_first_name(fs, ent->d_inum)) < 0)
            return r;
        place += r;
        if (r == 0 && (r = fs_dirent_remove(fs, dir, place)) < 0)
            return r;
    }
}

static int mend_dirs(struct Fs *fs)
{
    int r = 0;

    fs_bit_set(fs->ipending, FS_ROOT, true);
    for (uint32_t inum = FS_ROOT; r == 0 && inum < fs->super.ninodes; inum++) {
        struct FsInode *ip;
        r = fs_inode(fs, inum, &ip);
        if (r == 0 && ip->i_type == FS_DIR)
            r = mend_dir(fs, inum);
    }
    memset(fs->ipending, 0, (fs->super.ninodes + 7) / 8);
    return r;
}

/* Free the files that were removed while they were open. Returns how many blocks they had. */
static int free_orphans(struct Fs *fs)
{
    uint32_t before = fs_free_blocks(fs);

    for (uint32_t inum = FS_ROOT + 1; inum < fs->super.ninodes; inum++) {
        struct FsInode *ip;
        int r = fs_inode(fs, inum, &ip);
        if (r == 0 && ip->i_type != FS_FREE && ip->i_orphan)
            r = fs_inode_free(fs, inum);
        if (r < 0)
            return r;
    }
    return fs_free_blocks(fs) - before;
}

static int recover(struct Fs *fs)
{
    int won = mark_inodes(fs), orphans, r;

    if (won == 0)
        won = correct_bitmap(fs);
    memset(fs->pending, 0, (fs->super.nblocks + 7) / 8);
    if (won < 0)
        return won;
    if ((r = fs_count_free(fs)) < 0 || (r = mend_dirs(fs)) < 0 || (orphans = free_orphans(fs)) < 0)
        return r < 0 ? r : orphans;
    return won + orphans;
}

int fs_recover(struct Fs *fs)
{
    int won = recover(fs);

    fs->read_only = won < 0;
    return won;
}
