/*
 * Blocks and inodes: which are free, and taking and giving them back. A freed block keeps its bit
 * in the bitmap until a write-back has removed the last pointer to it from the disk.
 */
#include <fs/core/core.h>

#include <inc/error.h>
#include <inc/string.h>

int fs_bitmap_of(struct Fs *fs, uint32_t b, uint8_t **out)
{
    void *p;
    int r = cache_get(&fs->cache, fs->super.bitmap_start + b / FS_BITS_PER_BLOCK, CACHE_READ, &p);

    *out = p;
    return r;
}

/* First clear bit of a bitmap block in [from, to), or `to`. */
static uint32_t find_clear(const uint8_t *map, uint32_t from, uint32_t to)
{
    while (from < to) {
        if (from % 64 == 0 && to - from >= 64) {
            uint64_t word;
            memcpy(&word, map + from / 8, sizeof(word));
            if (word == ~(uint64_t)0) {
                from += 64;
                continue;
            }
            return from + __builtin_ctzll(~word);
        }
        if (!fs_bit_get(map, from))
            return from;
        from++;
    }
    return to;
}

int fs_count_free(struct Fs *fs)
{
    fs->nfree = 0;
    for (uint32_t b = 0; b < fs->super.nblocks; b += FS_BITS_PER_BLOCK) {
        uint8_t *map;
        int r = fs_bitmap_of(fs, b, &map);
        if (r < 0)
            return r;
        uint32_t n = MIN(fs->super.nblocks - b, (uint32_t)FS_BITS_PER_BLOCK);
        uint32_t i = b == 0 ? MIN(fs->super.data_start, n) : 0;
        for (; (i = find_clear(map, i, n)) < n; i++)
            fs->nfree++;
    }
    return 0;
}

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
        uint32_t i = find_clear(map, b - base, n);
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

/* Nothing on disk points to the blocks [from, to) any more. */
static void discard(struct Fs *fs, uint32_t from, uint32_t to)
{
    if (from < to && fs->disk->discard)
        fs->disk->discard(fs->disk, from, to - from);
}

int fs_release_pending(struct Fs *fs)
{
    uint32_t from = 0, to = 0; /* a run of freed blocks */

    for (uint32_t b = 0; b < fs->super.nblocks && fs->npending; b++) {
        uint8_t *map;
        if (b % 8 == 0 && fs->pending[b / 8] == 0) {
            b += 7;
            continue;
        }
        if (!fs_bit_get(fs->pending, b))
            continue;
        int r = fs_bitmap_of(fs, b, &map);
        if (r < 0)
            return r;
        fs_bit_set(map, b % FS_BITS_PER_BLOCK, false);
        cache_dirty(&fs->cache, map, BC_BITMAP);
        fs_bit_set(fs->pending, b, false);
        fs->npending--;
        fs->nfree++;
        if (b != to) {
            discard(fs, from, to);
            from = b;
        }
        to = b + 1;
    }
    discard(fs, from, to);
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

int fs_inode_free(struct Fs *fs, uint32_t inum)
{
    struct FsInode *ip;
    int r = fs_truncate(fs, inum, 0), r2 = fs_inode(fs, inum, &ip);

    if (r2 < 0)
        return r2;
    *ip = (struct FsInode){ .i_type = FS_FREE };
    fs_inode_dirty(fs, ip);
    fs_bit_set(fs->ipending, inum, true);
    fs->nipending++;
    return r;
}
