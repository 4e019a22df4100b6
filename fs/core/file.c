/*
 * Files as arrays of bytes: finding, allocating and freeing their blocks. Directories use the same
 * functions for their entries.
 */
#include <inc/error.h>
#include <inc/string.h>
#include <fs/core/alloc.h>
#include <fs/core/bitmap.h>
#include <fs/core/cache.h>
#include <fs/core/file.h>
#include <fs/core/format.h>
#include <fs/core/fs.h>
#include <fs/core/sync.h>

#define MAX_DEPTH 2 /* tables between an inode and a block of data */

/* How to get from an inode to block fb of its file. */
struct BlockPath {
    int depth;                 /* tables on the way: 0 to MAX_DEPTH */
    uint32_t index[MAX_DEPTH]; /* in each of them */
};

/* Fill in the path of block fb, which is below FS_MAXBLOCKS; returns the pointer in the inode. */
static uint32_t *block_path(struct FsInode *ip, uint64_t fb, struct BlockPath *path)
{
    *path = (struct BlockPath){ 0 };
    if (fb < FS_NDIRECT)
        return &ip->i_direct[fb];
    fb -= FS_NDIRECT;
    if (fb < FS_NINDIRECT) {
        *path = (struct BlockPath){ .depth = 1, .index = { fb } };
        return &ip->i_indirect;
    }
    fb -= FS_NINDIRECT;
    *path = (struct BlockPath){ .depth = 2, .index = { fb / FS_NINDIRECT, fb % FS_NINDIRECT } };
    return &ip->i_dindirect;
}

/* Class of the table at a level (1 up to depth) of a path. */
static enum BlockClass table_class(const struct BlockPath *path, int level)
{
    return level == path->depth ? BC_INDIRECT : BC_DINDIRECT;
}

static int __attribute__((noinline)) bad_pointer(struct Fs *fs, uint32_t block)
{
    return fs_complain(fs, "a block pointer is outside of the data area", block);
}

/* Follow a path as far as it exists. *out: the block, 0 for a hole. Returns how many blocks are
 * missing. */
static int follow(struct Fs *fs, const struct FsInode *ip, uint64_t fb, uint32_t *out)
{
    struct BlockPath path;
    uint32_t block = *block_path((struct FsInode *)ip, fb, &path);

    for (int level = 0;; level++) {
        *out = block;
        if (block == 0)
            return path.depth - level + 1;
        if (!fs_block_ok(fs, block))
            return bad_pointer(fs, block);
        if (level == path.depth)
            return 0;
        void *table;
        int r = cache_get(&fs->cache, block, CACHE_READ, &table);
        if (r < 0)
            return r;
        block = ((uint32_t *)table)[path.index[level]];
    }
}

ALWAYS_INLINE int find_block(struct Fs *fs, const struct FsInode *ip, uint64_t fb, uint32_t *out)
{
    if (fb < FS_NDIRECT) { /* what follow does, for most files */
        *out = ip->i_direct[fb];
        return *out == 0 || fs_block_ok(fs, *out) ? 0 : bad_pointer(fs, *out);
    }
    if (fb >= FS_MAXBLOCKS)
        return -E_TOO_BIG;
    int r = follow(fs, ip, fb, out);
    return MIN(r, 0);
}

int fs_bmap(struct Fs *fs, const struct FsInode *ip, uint64_t fb, uint32_t *out)
{
    return find_block(fs, ip, fb, out);
}

int fs_missing(struct Fs *fs, uint32_t inum, uint64_t fb)
{
    struct FsInode *ip;
    uint32_t block;
    int r = fs_inode_used(fs, inum, &ip);

    if (r < 0 || fb >= FS_MAXBLOCKS)
        return MIN(r, 0);
    return follow(fs, ip, fb, &block);
}

int fs_tables_missing(struct Fs *fs, uint32_t inum, uint64_t nblocks)
{
    const uint64_t one = FS_NDIRECT, two = FS_NDIRECT + FS_NINDIRECT;
    struct FsInode *ip;
    void *table;
    int r = fs_inode_used(fs, inum, &ip);

    if (r < 0)
        return r;
    int missing = nblocks > one && ip->i_indirect == 0;
    if (nblocks <= two)
        return missing;
    uint64_t tables =
        MIN((nblocks - two + FS_NINDIRECT - 1) / FS_NINDIRECT, (uint64_t)FS_NINDIRECT);
    if (ip->i_dindirect == 0)
        return missing + 1 + tables;
    if (!fs_block_ok(fs, ip->i_dindirect))
        return bad_pointer(fs, ip->i_dindirect);
    if ((r = cache_get(&fs->cache, ip->i_dindirect, CACHE_READ, &table)) < 0)
        return r;
    for (uint64_t i = 0; i < tables; i++)
        missing += ((uint32_t *)table)[i] == 0;
    return missing;
}

/* Hang the new blocks into the path of block fb, tables first. */
static int attach(struct Fs *fs, uint32_t inum, uint64_t fb, const uint32_t *new, int nnew)
{
    struct BlockPath path;
    struct FsInode *ip;
    int r = fs_inode(fs, inum, &ip);

    if (r < 0)
        return r;
    uint32_t *ptr = block_path(ip, fb, &path);
    if (nnew == path.depth + 1)
        *ptr = *new;
    ip->i_blocks += nnew;
    fs_inode_dirty(fs, ip);
    for (int level = 1; level <= path.depth; level++) {
        bool fresh = path.depth - level + 2 <= nnew, child_fresh = path.depth - level + 1 <= nnew;
        void *table;
        r = cache_get(&fs->cache, *ptr, fresh ? CACHE_ZERO : CACHE_READ, &table);
        if (r < 0)
            return r;
        ptr = (uint32_t *)table + path.index[level - 1];
        if (child_fresh) {
            *ptr = new[nnew - 1 - (path.depth - level)];
            cache_dirty(&fs->cache, table, table_class(&path, level));
        }
    }
    return 0;
}

/* Allocate block fb of a file, which is a hole, together with the `missing` - 1 tables on the way.
 * -E_NO_DISK: nothing was taken. */
static int fill_hole(struct Fs *fs, uint32_t inum, uint64_t fb, int missing, uint32_t *out)
{
    uint32_t new[MAX_DEPTH + 1];
    int r = fs_reserve(fs, missing);

    for (int i = 0; r == 0 && i < missing; i++)
        r = fs_block_alloc(fs, &new[i]);
    if (r < 0)
        return r;
    *out = new[missing - 1];
    return attach(fs, inum, fb, new, missing);
}

/* Bring the part of a file around block fb into the cache if it is read in sequence. */
static void read_ahead(struct Fs *fs, const struct FsInode *ip, uint64_t fb, uint32_t block)
{
    uint64_t left = (ip->i_size + BLKSIZE - 1) / BLKSIZE - fb;
    uint32_t max = MIN(left, (uint64_t)fs->disk->max_run), n = 1, next;

    if (max < 2 || (fb > 0 && !cache_has(&fs->cache, block - 1)))
        return;
    while (n < max && !cache_has(&fs->cache, block + n) && fs_bmap(fs, ip, fb + n, &next) == 0 &&
           next == block + n)
        n++;
    cache_readahead(&fs->cache, block, n);
}

/* The memory of a file's block fb, which is `block` on the disk. */
static int __attribute__((noinline))
fetch(struct Fs *fs, const struct FsInode *ip, uint64_t fb, uint32_t block, void **out)
{
    if (!fs->cache.cached_only)
        read_ahead(fs, ip, fb, block);
    return cache_get(&fs->cache, block, CACHE_READ, out);
}

/* Copy what one block has of the n bytes from off on; a hole is zeroes. Returns how many bytes
 * these are, 0 past the end of the file. */
static inline ssize_t read_part(struct Fs *fs, uint32_t inum, void *buf, size_t n, uint64_t off)
{
    uint32_t boff = off % BLKSIZE, block;
    struct FsInode *ip = fs_inode_cached(fs, inum);
    void *p;
    int r;

    if ((!ip || fs_inode_flaw(ip)) && (r = fs_inode_used(fs, inum, &ip)) < 0)
        return r;
    if (off >= ip->i_size)
        return 0;
    n = MIN(MIN(n, ip->i_size - off), (size_t)BLKSIZE - boff);
    if ((r = find_block(fs, ip, off / BLKSIZE, &block)) < 0)
        return r;
    if (block == 0) {
        memset(buf, 0, n);
        return n;
    }
    if (!(p = cache_find(&fs->cache, block)) && (r = fetch(fs, ip, off / BLKSIZE, block, &p)) < 0)
        return r;
    memcpy(buf, (char *)p + boff, n);
    return n;
}

/* ---- Reading many blocks at once ---- */

/* What is read of a file at once: `want` whole blocks from block fb on, which the caller wants, and
 * what follows, as far as one table of the file's has it. */
struct BlockRun {
    uint64_t fb;
    uint32_t want, count;
    uint32_t block[DISK_MAX_RUN]; /* 0: a hole */
};

/* The place in an inode, or in its last table, that has the pointer of block fb. *out is NULL if
 * the tables end before, which is a hole. */
static int find_pointers(struct Fs *fs, const struct FsInode *ip, uint64_t fb, const uint32_t **out)
{
    struct BlockPath path;

    *out = block_path((struct FsInode *)ip, fb, &path);
    for (int level = 0; level < path.depth; level++) {
        uint32_t block = **out;
        void *table;
        *out = NULL;
        if (block == 0)
            return 0;
        if (!fs_block_ok(fs, block))
            return bad_pointer(fs, block);
        int r = cache_get(&fs->cache, block, CACHE_READ, &table);
        if (r < 0)
            return r;
        *out = (uint32_t *)table + path.index[level];
    }
    return 0;
}

/* How many of n pointers from that of block fb on are in one place. */
static uint32_t together(uint64_t fb, uint64_t n)
{
    uint64_t left =
        fb < FS_NDIRECT ? FS_NDIRECT - fb : FS_NINDIRECT - (fb - FS_NDIRECT) % FS_NINDIRECT;
    return MIN(n, left);
}

/* Find the blocks that a read of n bytes from off on, which is the start of a block, is about. Only
 * whole blocks are; run->want is 0 if there is none. */
static int find_run(struct Fs *fs, uint32_t inum, size_t n, uint64_t off, struct BlockRun *run)
{
    const uint32_t *pointer;
    struct FsInode *ip;
    int r = fs_inode_used(fs, inum, &ip);

    run->want = run->count = 0;
    if (r < 0 || off >= ip->i_size)
        return r;
    run->fb = off / BLKSIZE;
    run->count = together(run->fb, MIN((ip->i_size - off) / BLKSIZE, (uint64_t)fs->disk->max_run));
    if ((r = find_pointers(fs, ip, run->fb, &pointer)) < 0)
        return r;
    for (uint32_t i = 0; i < run->count; i++) {
        run->block[i] = pointer ? pointer[i] : 0;
        if (run->block[i] != 0 && !fs_block_ok(fs, run->block[i]))
            run->count = i; /* whoever reads that one is told */
    }
    run->want = MIN(run->count, n / BLKSIZE);
    return 0;
}

/* How many blocks of the run, from number i on, are one after the other on the disk and not in the
 * cache. */
static uint32_t missing_in_row(struct Fs *fs, const struct BlockRun *run, uint32_t i)
{
    uint32_t n = 0;

    while (i + n < run->count && run->block[i + n] == run->block[i] + n &&
           !cache_has(&fs->cache, run->block[i + n]))
        n++;
    return n;
}

/* Read blocks from number i on, which is not in the cache, right into the reader's memory. Returns
 * how many. */
static int read_past_cache(struct Fs *fs, const struct BlockRun *run, uint32_t i, char *buf)
{
    uint32_t n = MIN(missing_in_row(fs, run, i), run->want - i);
    void *page[DISK_MAX_RUN];

    for (uint32_t k = 0; k < n; k++)
        page[k] = buf + (size_t)k * BLKSIZE;
    int r = fs->disk->read(fs->disk, run->block[i], n, page);
    return r < 0 ? r : (int)n;
}

/* Read some blocks of the run, from number i on. Returns how many, at least one.
 *
 * The cache takes what is read as long as nothing else has to go. When it is full, a long read
 * goes past it: it would push out what others use again and again, and its own beginning before
 * anybody reads that a second time. */
static int read_some(struct Fs *fs, const struct BlockRun *run, uint32_t i, char *buf)
{
    uint32_t block = run->block[i];
    void *p = NULL;

    if (block != 0 && !(p = cache_find(&fs->cache, block))) {
        if (fs->cache.cached_only)
            return -E_AGAIN;
        uint32_t room = cache_room(&fs->cache);
        if (room == 0 && (uintptr_t)buf % BLKSIZE == 0) /* as a disk wants it */
            return read_past_cache(fs, run, i, buf);
        cache_readahead(&fs->cache, block, MIN(missing_in_row(fs, run, i), MAX(room, 1u)));
        int r = cache_get(&fs->cache, block, CACHE_READ, &p);
        if (r < 0)
            return r;
    }
    if (p)
        memcpy(buf, p, BLKSIZE);
    else
        memset(buf, 0, BLKSIZE);
    return 1;
}

/* Read whole blocks, some of what n bytes from off on are. Returns the bytes; 0: none, or it did
 * not work, and read_part is to look at the first block. */
static ssize_t read_blocks(struct Fs *fs, uint32_t inum, char *buf, size_t n, uint64_t off)
{
    struct BlockRun run;
    uint32_t done = 0;
    int r = find_run(fs, inum, n, off, &run);

    for (; r >= 0 && done < run.want; done += MAX(r, 0))
        r = read_some(fs, &run, done, buf + (size_t)done * BLKSIZE);
    return (ssize_t)done * BLKSIZE;
}

/* read_part, or more where that is quicker. */
static inline ssize_t read_next(struct Fs *fs, uint32_t inum, void *buf, size_t n, uint64_t off)
{
    ssize_t got = 0;

    if (n > BLKSIZE && off % BLKSIZE == 0)
        got = read_blocks(fs, inum, buf, n, off);
    return got > 0 ? got : read_part(fs, inum, buf, n, off);
}

ssize_t fs_read(struct Fs *fs, uint32_t inum, void *buf, size_t n, uint64_t off)
{
    ssize_t done = 0, r = 0;

    for (; n > 0 && (r = read_next(fs, inum, buf, n, off)) > 0; n -= r) {
        buf = (char *)buf + r;
        off += r;
        done += r;
    }
    return done ? done : r;
}

/* Write len bytes at offset off, within one block. */
static int write_part(struct Fs *fs, uint32_t inum, uint64_t off, const void *buf, uint32_t len)
{
    uint64_t fb = off / BLKSIZE;
    struct FsInode *ip;
    uint32_t block;
    void *p;
    int r;

    if ((r = fs_make_room(fs)) < 0 || (r = fs_inode_used(fs, inum, &ip)) < 0)
        return r;
    int missing = follow(fs, ip, fb, &block);
    if (missing < 0)
        return missing;
    if (missing > 0 && (r = fill_hole(fs, inum, fb, missing, &block)) < 0)
        return r;
    enum CacheHow how = len == BLKSIZE ? CACHE_BLANK : missing > 0 ? CACHE_ZERO : CACHE_READ;
    if ((r = cache_get(&fs->cache, block, how, &p)) < 0)
        return r;
    memcpy((char *)p + off % BLKSIZE, buf, len);
    cache_dirty(&fs->cache, p, BC_DATA);
    if ((r = fs_inode(fs, inum, &ip)) < 0)
        return r;
    if (off + len > ip->i_size) {
        ip->i_size = off + len;
        fs_inode_dirty(fs, ip);
    }
    return 0;
}

ssize_t fs_write(struct Fs *fs, uint32_t inum, const void *buf, size_t n, uint64_t off)
{
    size_t done = 0;

    if (off > FS_MAXFILESIZE || n > FS_MAXFILESIZE - off)
        return -E_TOO_BIG;
    if (fs->read_only)
        return -E_READ_ONLY;
    while (done < n) {
        size_t len = MIN(BLKSIZE - off % BLKSIZE, n - done);
        int r = write_part(fs, inum, off, (const char *)buf + done, len);
        if (r < 0)
            return done ? (ssize_t)done : r;
        done += len;
        off += len;
    }
    return done;
}

/*
 * Free what a pointer leads to, from the block with number `from` (relative to this pointer) on.
 * depth: 0 for a block of data, else the tables below. If from is 0, the block itself goes too, and
 * the caller clears the pointer. Goes on after an error; returns the first one.
 */
static int cut_tree(struct Fs *fs, uint32_t block, int depth, uint64_t from)
{
    uint64_t span = depth == MAX_DEPTH ? FS_NINDIRECT : 1;
    int first_error = 0, r;

    if (!fs_block_ok(fs, block))
        return bad_pointer(fs, block);
    for (uint32_t i = from / span; depth > 0 && i < FS_NINDIRECT; i++) {
        uint64_t keep = i == from / span ? from % span : 0;
        void *p;
        /* Looked up anew each time: freeing a subtree uses the cache. */
        if ((r = cache_get(&fs->cache, block, CACHE_READ, &p)) < 0)
            return r;
        uint32_t child = ((uint32_t *)p)[i];
        if (child == 0)
            continue;
        r = cut_tree(fs, child, depth - 1, keep);
        first_error = first_error ? first_error : r;
        if (from == 0 || keep > 0)
            continue;
        if ((r = cache_get(&fs->cache, block, CACHE_READ, &p)) < 0)
            return r;
        ((uint32_t *)p)[i] = 0;
        cache_dirty(&fs->cache, p, depth == 1 ? BC_INDIRECT : BC_DINDIRECT);
    }
    r = from == 0 ? fs_block_free(fs, block) : 0;
    return first_error ? first_error : r;
}

/* Cut one pointer of an inode copy: its tree has `depth` tables and begins at file block base. */
static int cut_pointer(struct Fs *fs, uint32_t *ptr, int depth, uint64_t base, uint64_t from)
{
    uint64_t blocks = depth == 0 ? 1 : depth == 1 ? FS_NINDIRECT : FS_NINDIRECT * FS_NINDIRECT;

    if (*ptr == 0 || from >= base + blocks)
        return 0;
    uint64_t keep = from > base ? from - base : 0;
    int r = cut_tree(fs, *ptr, depth, keep);
    if (keep == 0)
        *ptr = 0;
    return r;
}

/* Make a hole of block fb. Its tables stay. */
static int punch_block(struct Fs *fs, uint32_t inum, uint64_t fb)
{
    struct BlockPath path;
    struct FsInode *ip;
    void *table = NULL;
    int r;

    if ((r = fs_make_room(fs)) < 0 || (r = fs_inode_used(fs, inum, &ip)) < 0)
        return r;
    uint32_t *ptr = block_path(ip, fb, &path);
    for (int level = 1; level <= path.depth && *ptr; level++) {
        if (!fs_block_ok(fs, *ptr))
            return bad_pointer(fs, *ptr);
        if ((r = cache_get(&fs->cache, *ptr, CACHE_READ, &table)) < 0)
            return r;
        ptr = (uint32_t *)table + path.index[level - 1];
    }
    if (*ptr == 0)
        return 0;
    if ((r = fs_block_free(fs, *ptr)) < 0)
        return r;
    *ptr = 0;
    if (table)
        cache_dirty(&fs->cache, table, BC_INDIRECT);
    ip->i_blocks -= MIN(ip->i_blocks, 1u);
    fs_inode_dirty(fs, ip);
    return 0;
}

int fs_punch(struct Fs *fs, uint32_t inum, uint64_t fb, uint64_t n)
{
    int r = 0;

    if (fs->read_only)
        return -E_READ_ONLY;
    for (; r == 0 && n > 0 && fb < FS_MAXBLOCKS; n--)
        r = punch_block(fs, inum, fb++);
    return r;
}

/* The last block of a file ends in zeroes, so that growing it later shows none of the old data. */
static int clear_tail(struct Fs *fs, const struct FsInode *ip, uint64_t size)
{
    uint32_t block;
    void *p;
    int r;

    if (size % BLKSIZE == 0)
        return 0;
    if ((r = fs_bmap(fs, ip, size / BLKSIZE, &block)) < 0 || block == 0)
        return r;
    if ((r = cache_get(&fs->cache, block, CACHE_READ, &p)) < 0)
        return r;
    memset((char *)p + size % BLKSIZE, 0, BLKSIZE - size % BLKSIZE);
    cache_dirty(&fs->cache, p, BC_DATA);
    return 0;
}

/* Free the blocks of an inode copy from file block `from` on. */
static int cut_inode(struct Fs *fs, struct FsInode *copy, uint64_t from)
{
    uint32_t before = fs->npending;
    int error = 0, r;

    for (uint64_t i = 0; i < FS_NDIRECT; i++) {
        r = cut_pointer(fs, &copy->i_direct[i], 0, i, from);
        error = error ? error : r;
    }
    r = cut_pointer(fs, &copy->i_indirect, 1, FS_NDIRECT, from);
    error = error ? error : r;
    r = cut_pointer(fs, &copy->i_dindirect, 2, FS_NDIRECT + FS_NINDIRECT, from);
    error = error ? error : r;
    copy->i_blocks -= MIN(copy->i_blocks, fs->npending - before);
    return error;
}

int fs_truncate(struct Fs *fs, uint32_t inum, uint64_t size)
{
    struct FsInode *ip, copy;
    int r, error = 0;

    if (size > FS_MAXFILESIZE)
        return -E_TOO_BIG;
    if (fs->read_only)
        return -E_READ_ONLY;
    if ((r = fs_make_room(fs)) < 0 || (r = fs_inode_used(fs, inum, &ip)) < 0)
        return r;
    copy = *ip;
    if (size < copy.i_size) {
        error = cut_inode(fs, &copy, (size + BLKSIZE - 1) / BLKSIZE);
        r = clear_tail(fs, &copy, size);
        error = error ? error : r;
    }
    copy.i_size = size;
    if ((r = fs_inode(fs, inum, &ip)) < 0)
        return r;
    *ip = copy;
    fs_inode_dirty(fs, ip);
    return error;
}

int fs_stat(struct Fs *fs, uint32_t inum, struct FsStat *st)
{
    struct FsInode *ip;
    int r = fs_inode_used(fs, inum, &ip);

    if (r < 0)
        return r;
    *st = (struct FsStat){ .size = ip->i_size,
                           .blocks = ip->i_blocks,
                           .type = ip->i_type == FS_DIR ? FTYPE_DIR : FTYPE_REG };
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
