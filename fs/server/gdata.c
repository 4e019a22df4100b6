/*
 * The bytes of guests' disks. With a base image, blocks that a disk's own image lacks are the
 * base's; a disk may be longer than its base, and the rest of it is zeroes then.
 */
#include <fs/core/alloc.h>
#include <fs/core/file.h>
#include <fs/core/format.h>
#include <fs/core/sync.h>
#include <fs/server/gdisk.h>
#include <fs/server/serv.h>

/* The part of [off, off + n) that lies in off's block. */
static size_t in_block(uint64_t off, uint64_t n)
{
    return MIN(n, BLKSIZE - off % BLKSIZE);
}

/* The image from which block b of a disk is to be read. */
static int source_of(const struct GuestDisk *gd, uint32_t b, uint32_t *inum)
{
    struct FsInode *ip;
    uint32_t block = 0;
    int r;

    *inum = gd->inum;
    if ((r = fs_inode_used(&fs, gd->inum, &ip)) < 0 || (r = fs_bmap(&fs, ip, b, &block)) < 0)
        return r;
    if (block == 0)
        *inum = gd->base;
    return 0;
}

/* Read within one block of a disk that has a base. */
static int read_over_base(const struct GuestDisk *gd, uint64_t off, size_t n, void *buf)
{
    uint32_t inum;
    int r = source_of(gd, off / BLKSIZE, &inum);

    if (r < 0)
        return r;
    ssize_t got = fs_read(&fs, inum, buf, n, off);
    if (got < 0)
        return got;
    memset((char *)buf + got, 0, n - got);
    return 0;
}

/* What an access that stopped at an error has done, if that is to be told instead. */
static ssize_t done_or(size_t done, int error)
{
    return error == -E_AGAIN && done > 0 ? (ssize_t)done : error;
}

ssize_t gdata_read(const struct GuestDisk *gd, uint64_t off, size_t n, void *buf)
{
    size_t done = 0;

    if (!gd->base) {
        ssize_t got = fs_read(&fs, gd->inum, buf, n, off);
        return got == (ssize_t)n || got < 0 || (got > 0 && fs.cache.cached_only) ? got : -E_IO;
    }
    for (size_t k; done < n; done += k) {
        k = in_block(off + done, n - done);
        int r = read_over_base(gd, off + done, k, (char *)buf + done);
        if (r < 0)
            return done_or(done, r);
    }
    return done;
}

/* Write within one block. The file system's allocator is told of nobody's promises: gdisk_may_grow
 * has looked at them. What a guest was promised it gets even after others have filled the disk. */
static int write_part(struct GuestDisk *gd, uint64_t off, size_t n, const void *buf)
{
    static char whole[BLKSIZE];
    uint64_t start = off - off % BLKSIZE, size = MIN(gd->size - start, (uint64_t)BLKSIZE);
    int missing = fs_missing(&fs, gd->inum, off / BLKSIZE), r;

    if (missing < 0)
        return missing;
    if (missing > 0 && gd->base && n < size) { /* the rest of the block comes from the base */
        ssize_t got = gdata_read(gd, start, size, whole);
        if (got < 0)
            return got;
        memcpy(whole + off % BLKSIZE, buf, n);
        off = start;
        n = size;
        buf = whole;
    }
    if (missing > 0 && (r = gdisk_may_grow(gd, off / BLKSIZE)) < 0)
        return r;
    uint32_t kept = fs.kept;
    fs.kept = 0;
    ssize_t put = fs_write(&fs, gd->inum, buf, n, off);
    fs.kept = kept;
    return put == (ssize_t)n ? 0 : put < 0 ? put : -E_IO;
}

ssize_t gdata_write(struct GuestDisk *gd, uint64_t off, size_t n, const void *buf)
{
    size_t done = 0;

    for (size_t k; done < n; done += k) {
        k = in_block(off + done, n - done);
        int r = write_part(gd, off + done, k, (const char *)buf + done);
        if (r < 0)
            return done_or(done, r);
    }
    return done;
}

int gdata_zero(struct GuestDisk *gd, uint64_t off, uint64_t n, bool unmap)
{
    static const char zeroes[BLKSIZE];
    int r = 0;

    for (uint64_t k; r == 0 && n > 0; off += k, n -= k) {
        k = in_block(off, n);
        r = unmap && !gd->base && k == BLKSIZE ? fs_punch(&fs, gd->inum, off / BLKSIZE, 1)
                                               : write_part(gd, off, k, zeroes);
    }
    return r;
}

int gdata_discard(struct GuestDisk *gd, uint64_t off, uint64_t n)
{
    uint64_t first = (off + BLKSIZE - 1) / BLKSIZE, end = (off + n) / BLKSIZE;

    if (off + n == gd->size)
        end = (gd->size + BLKSIZE - 1) / BLKSIZE;
    return first < end ? fs_punch(&fs, gd->inum, first, end - first) : 0;
}
