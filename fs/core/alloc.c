/*
 * Blocks and inodes: which are free, and taking and giving them back. A freed block keeps its bit
 * in the bitmap until a write-back has removed the last pointer to it from the disk.
 */
#include <inc/error.h>
#include <inc/string.h>
#include <fs/core/alloc.h>
#include <fs/core/bitmap.h>
#include <fs/core/cache.h>
#include <fs/core/format.h>
#include <fs/core/fs.h>
#include <fs/core/sync.h>

int fs_reserve(struct Fs *fs, uint32_t n)
{
    if (n + fs->kept <= fs->nfree)
        return 0;
    if (fs->npending) {
        int r = fs_writeback(fs);
        if (r < 0)
            return r;
    }
    return n + fs->kept <= fs->nfree ? 0 : -E_NO_DISK;
}

int fs_block_alloc(struct Fs *fs, uint32_t *out)
{
    uint32_t start = fs_block_ok(fs, fs->block_hint) ? fs->block_hint : fs->super.data_start;
    int r = fs_reserve(fs, 1);

    if (r < 0)
        return r;
    /* From the hint to the end, then from the beginning. */
    for (uint32_t b = start, wrapped = 0; wrapped < 2;) {
        uint32_t base = ROUNDDOWN(b, FS_BITS_PER_BLOCK);
        uint32_t n = MIN(fs->super.nblocks - base, (uint32_t)FS_BITS_PER_BLOCK);
        uint8_t *map;
        if ((r = fs_bitmap_of(fs, b, &map)) < 0)
            return r;
        uint32_t i = fs_find_clear(map, b - base, n);
        if (i < n && fs_block_ok(fs, base + i)) {
            fs_bit_set(map, i, true);
            cache_dirty(&fs->cache, map, BC_BITMAP);
            fs->nfree--;
            *out = base + i;
            fs->block_hint = base + i + 1;
            return 0;
        }
        b = base + n;
        if (b >= fs->super.nblocks) {
            b = fs->super.data_start;
            wrapped++;
        }
    }
    return fs_complain(fs, "the bitmap has fewer free blocks than counted", fs->nfree);
}

int fs_block_free(struct Fs *fs, uint32_t block)
{
    uint8_t *map;

    if (!fs_block_ok(fs, block))
        return fs_complain(fs, "a file has a block outside of the data area", block);
    int r = fs_bitmap_of(fs, block, &map);
    if (r < 0)
        return r;
    if (!fs_bit_get(map, block % FS_BITS_PER_BLOCK) || fs_bit_get(fs->pending, block))
        return fs_complain(fs, "a file has a block that is free", block);
    fs_bit_set(fs->pending, block, true);
    fs->npending++;
    cache_forget(&fs->cache, block);
    return 0;
}

int fs_inode(struct Fs *fs, uint32_t inum, struct FsInode **out)
{
    void *table;

    if ((*out = fs_inode_cached(fs, inum)))
        return 0;
    if (inum < FS_ROOT || inum >= fs->super.ninodes)
        return fs_complain(fs, "no such inode", inum);
    int r = cache_get(&fs->cache, fs->super.inode_start + inum / FS_INODES_PER_BLOCK, CACHE_READ,
                      &table);
    *out = (struct FsInode *)table + inum % FS_INODES_PER_BLOCK;
    return r;
}

int fs_inode_used(struct Fs *fs, uint32_t inum, struct FsInode **out)
{
    int r = fs_inode(fs, inum, out);
    const char *flaw = r == 0 ? fs_inode_flaw(*out) : NULL;

    return flaw ? fs_complain(fs, flaw, inum) : r;
}

void fs_inode_dirty(struct Fs *fs, struct FsInode *ip)
{
    cache_dirty(&fs->cache, ip, BC_INODE);
}

/* One round of fs_inode_alloc over the whole table. */
static int find_free_inode(struct Fs *fs, uint32_t *inum, struct FsInode **ip)
{
    uint32_t n = fs->super.ninodes;

    for (uint32_t k = 0, i = fs->inode_hint; k < n; k++, i++) {
        if (i >= n)
            i = FS_ROOT + 1;
        if (fs_bit_get(fs->ipending, i))
            continue;
        int r = fs_inode(fs, i, ip);
        if (r < 0)
            return r;
        if ((*ip)->i_type == FS_FREE) {
            *inum = i;
            return 0;
        }
    }
    return -E_NO_DISK;
}

int fs_inode_alloc(struct Fs *fs, enum FsInodeType type, uint32_t *out)
{
    struct FsInode *ip;
    int r = find_free_inode(fs, out, &ip);

    if (r == -E_NO_DISK && fs->nipending) {
        if ((r = fs_writeback(fs)) == 0)
            r = find_free_inode(fs, out, &ip);
    }
    if (r < 0)
        return r;
    *ip = (struct FsInode){ .i_type = type };
    fs_inode_dirty(fs, ip);
    fs->inode_hint = *out + 1;
    return 0;
}
