/*
 * The engine of fsck: superblock, inodes with all their pointers, the bitmap, then directories and
 * names. Each pass relies on what the one before it has checked (and, when repairing, put right).
 */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fs/core/alloc.h>
#include <fs/core/bitmap.h>
#include <fs/core/cache.h>
#include <fs/core/dir.h>
#include <fs/core/disk.h>
#include <fs/core/file.h>
#include <fs/core/format.h>
#include <fs/core/fs.h>
#include <fs/core/mount.h>
#include <fs/core/super.h>
#include <fs/core/sync.h>
#include <fs/host/check.h>
#include <fs/host/hostdev.h>
#include <inc/error.h>

#define CACHE_BLOCKS       256
#define DIR_MAX            ((uint64_t)64 << 20) /* bytes of the largest directory that makes sense */
#define MESSAGES_PER_INODE 10

struct Check {
    struct Fs *fs;
    bool repair;
    uint32_t problems, repaired;
    uint32_t *owner; /* of each block: the inode that uses it, 0: none */
    uint8_t *named;  /* inode has been found in a directory */
    char **path;     /* of each inode, as far as the directories tell */
    /* The inode that is being scanned: */
    uint32_t inum;
    uint32_t nblocks;  /* blocks it uses */
    uint64_t end;      /* file blocks below its size */
    uint32_t messages; /* about it */
};

/* Report a problem of an inode (0: of the whole); when repairing, the caller puts it right. */
static void problem(struct Check *k, uint32_t inum, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void problem(struct Check *k, uint32_t inum, const char *fmt, ...)
{
    char text[200];
    va_list ap;

    k->problems++;
    k->repaired += k->repair;
    if (inum != k->inum)
        k->messages = 0;
    k->inum = inum;
    if (quiet || ++k->messages > MESSAGES_PER_INODE)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    const char *path = inum < k->fs->super.ninodes && k->path[inum] ? k->path[inum] : "no name";
    if (inum)
        warn_at("inode %u (%s): %s", inum, path, text);
    else
        warn_at("%s", text);
    if (k->messages == MESSAGES_PER_INODE)
        warn_at("inode %u: more of these are not shown", inum);
}

struct FsDirent *read_entries(struct Fs *fs, uint32_t inum, size_t *n)
{
    struct FsStat st;

    *n = 0;
    if (fs_stat(fs, inum, &st) < 0 || st.type != FTYPE_DIR)
        return NULL;
    size_t size = MIN(st.size, DIR_MAX);
    struct FsDirent *ent = calloc(1, size + 1);
    ssize_t got = ent ? fs_read(fs, inum, ent, size, 0) : 0;
    *n = got > 0 ? got / sizeof(*ent) : 0;
    return ent;
}

/* ---- Superblock ---- */

/* If one word of the superblock is wrong, the checksum tells what it should be. */
static bool mend_super(struct FsSuper *s, uint32_t disk_blocks)
{
    uint32_t error = fs_super_sum(s);

    for (size_t i = 0; i < sizeof(*s) / sizeof(uint32_t); i++) {
        struct FsSuper try = *s;
        uint32_t word;
        memcpy(&word, (char *)&try + i * sizeof(word), sizeof(word));
        word -= error;
        memcpy((char *)&try + i * sizeof(word), &word, sizeof(word));
        if (!fs_super_check(&try, disk_blocks)) {
            *s = try;
            return true;
        }
    }
    return false;
}

/* Check the superblock, before the disk can be mounted. False: it is not usable. */
static bool check_super(struct Check *k, struct Disk *disk)
{
    static char block[BLKSIZE];
    void *page = block;
    struct FsSuper s;

    if (disk->nblocks < FS_MINBLOCKS || disk->read(disk, 0, 1, &page) < 0) {
        problem(k, 0, "%s is too small for a file system", disk->name);
        return false;
    }
    memcpy(&s, block, sizeof(s));
    const char *why = fs_super_check(&s, disk->nblocks);
    if (!why)
        return true;
    problem(k, 0, "%s", why);
    if (!mend_super(&s, disk->nblocks) || !k->repair) {
        k->repaired = 0;
        return false;
    }
    memcpy(block, &s, sizeof(s));
    return disk->write(disk, 0, 1, &page) == 0;
}

/* ---- Names for messages ---- */

/* Note the paths of all that can be reached from a directory, whatever state it is in. */
static void note_paths(struct Check *k, uint32_t dir)
{
    size_t n;
    struct FsDirent *ent = read_entries(k->fs, dir, &n);

    for (size_t i = 0; i < n; i++) {
        uint32_t inum = ent[i].d_inum;
        if (inum >= k->fs->super.ninodes || k->path[inum])
            continue;
        const char *parent = k->path[dir][1] ? k->path[dir] : "";
        if (asprintf(&k->path[inum], "%s/%.*s", parent, MAXNAMELEN - 1, ent[i].d_name) < 0)
            die("out of memory");
        if (strlen(k->path[inum]) < MAXPATHLEN)
            note_paths(k, inum);
    }
    free(ent);
}

/* ---- Inodes and their blocks ---- */

/* Check what a pointer leads to (depth: tables on the way to data) at file block fb. False: the
 * pointer is wrong and has to be cleared. */
static bool scan_tree(struct Check *k, uint32_t block, int depth, uint64_t fb)
{
    struct Fs *fs = k->fs;
    uint64_t span = depth == 2 ? FS_NINDIRECT : 1;

    if (!fs_block_ok(fs, block)) {
        problem(k, k->inum, "points to block %u, outside of the data area", block);
        return false;
    }
    if (k->owner[block]) {
        problem(k, k->inum, "block %u is in use by inode %u too", block, k->owner[block]);
        return false;
    }
    if (depth == 0 && fb >= k->end) {
        problem(k, k->inum, "has block %u beyond its end", block);
        return false;
    }
    k->owner[block] = k->inum;
    k->nblocks++;
    for (uint32_t i = 0; depth > 0 && i < FS_NINDIRECT; i++) {
        void *p;
        if (cache_get(&fs->cache, block, CACHE_READ, &p) < 0)
            die("cannot read block %u", block);
        uint32_t child = ((uint32_t *)p)[i];
        if (child == 0 || scan_tree(k, child, depth - 1, fb + i * span) || !k->repair)
            continue;
        if (cache_get(&fs->cache, block, CACHE_READ, &p) < 0)
            die("cannot read block %u", block);
        ((uint32_t *)p)[i] = 0;
        cache_dirty(&fs->cache, p, BC_DATA);
    }
    return true;
}

static void scan_pointer(struct Check *k, uint32_t *ptr, int depth, uint64_t fb)
{
    if (*ptr && !scan_tree(k, *ptr, depth, fb) && k->repair)
        *ptr = 0;
}

/* Check type and size; brings a copy into a state that can be scanned. */
static void check_header(struct Check *k, struct FsInode *ip)
{
    uint64_t max = ip->i_type == FS_DIR ? DIR_MAX : FS_MAXFILESIZE;

    if (ip->i_size > max) {
        problem(k, k->inum, "its size of %lu bytes is impossible", (unsigned long)ip->i_size);
        ip->i_size = max;
    }
    if (ip->i_type == FS_DIR && ip->i_size % sizeof(struct FsDirent)) {
        problem(k, k->inum, "directory size %lu is not a whole number of entries",
                (unsigned long)ip->i_size);
        ip->i_size -= ip->i_size % sizeof(struct FsDirent);
    }
}

/* The last block must be zero past the end of the file. */
static void check_tail(struct Check *k, const struct FsInode *ip)
{
    uint32_t tail = ip->i_size % BLKSIZE, block;
    void *p;

    if (tail == 0 || fs_bmap(k->fs, ip, ip->i_size / BLKSIZE, &block) < 0 || block == 0)
        return;
    if (cache_get(&k->fs->cache, block, CACHE_READ, &p) < 0)
        die("cannot read block %u", block);
    for (uint32_t i = tail; i < BLKSIZE; i++)
        if (((char *)p)[i]) {
            problem(k, k->inum, "has data past its end");
            if (k->repair) {
                memset((char *)p + tail, 0, BLKSIZE - tail);
                cache_dirty(&k->fs->cache, p, BC_DATA);
            }
            return;
        }
}

static struct FsInode *get_inode(struct Check *k, uint32_t inum)
{
    struct FsInode *ip;

    if (fs_inode(k->fs, inum, &ip) < 0)
        die("cannot read inode %u", inum);
    return ip;
}

static void put_inode(struct Check *k, uint32_t inum, const struct FsInode *copy)
{
    struct FsInode *ip = get_inode(k, inum);

    if (!k->repair || memcmp(ip, copy, sizeof(*ip)) == 0)
        return;
    *ip = *copy;
    fs_inode_dirty(k->fs, ip);
}

static void check_inode(struct Check *k, uint32_t inum)
{
    struct FsInode copy = *get_inode(k, inum);

    k->inum = inum;
    k->nblocks = k->messages = 0;
    if (inum == FS_ROOT && copy.i_type != FS_DIR) {
        problem(k, inum, "the root is not a directory");
        copy.i_type = FS_DIR;
    }
    if (copy.i_type != FS_FREE && copy.i_type != FS_FILE && copy.i_type != FS_DIR) {
        problem(k, inum, "has unknown type %u", copy.i_type);
        copy = (struct FsInode){ .i_type = FS_FREE };
    }
    if (copy.i_type == FS_FREE) {
        put_inode(k, inum, &copy);
        return;
    }
    check_header(k, &copy);
    k->end = (copy.i_size + BLKSIZE - 1) / BLKSIZE;
    for (uint64_t i = 0; i < FS_NDIRECT; i++)
        scan_pointer(k, &copy.i_direct[i], 0, i);
    scan_pointer(k, &copy.i_indirect, 1, FS_NDIRECT);
    scan_pointer(k, &copy.i_dindirect, 2, FS_NDIRECT + FS_NINDIRECT);
    if (copy.i_blocks != k->nblocks) {
        problem(k, inum, "says it takes %u blocks, but takes %u", copy.i_blocks, k->nblocks);
        copy.i_blocks = k->nblocks;
    }
    check_tail(k, &copy);
    put_inode(k, inum, &copy);
}

static void check_inodes(struct Check *k)
{
    for (uint32_t i = FS_ROOT; i < k->fs->super.ninodes; i++) {
        check_inode(k, i);
        if (fs_make_room(k->fs) < 0)
            die("cannot write the repairs");
    }
}

/* ---- Bitmap ---- */

/* What the bitmap should say about block b. */
static bool in_use(const struct Check *k, uint32_t b)
{
    return !fs_block_ok(k->fs, b) || k->owner[b];
}

static void check_bitmap(struct Check *k)
{
    struct Fs *fs = k->fs;
    uint32_t lost = 0, shared = 0;

    k->inum = 0;
    for (uint32_t b = 0; b < fs->super.bitmap_blocks * FS_BITS_PER_BLOCK; b++) {
        void *p;
        if (cache_get(&fs->cache, fs->super.bitmap_start + b / FS_BITS_PER_BLOCK, CACHE_READ, &p) <
            0)
            die("cannot read the bitmap");
        uint8_t *byte = (uint8_t *)p + b % FS_BITS_PER_BLOCK / 8, bit = 1 << b % 8;
        bool want = in_use(k, b), have = *byte & bit;
        if (want == have)
            continue;
        lost += have;
        shared += want;
        if (k->repair) {
            *byte ^= bit;
            cache_dirty(&fs->cache, p, BC_BITMAP);
        }
    }
    if (lost)
        problem(k, 0, "%u unused blocks are marked as used", lost);
    if (shared)
        problem(k, 0, "%u blocks in use are marked as free", shared);
    if (fs_count_free(fs) < 0)
        die("cannot read the bitmap");
}

/* ---- Directories ---- */

static int by_name(const void *a, const void *b)
{
    const struct FsDirent *const *x = a, *const *y = b;
    int r = strncmp((*x)->d_name, (*y)->d_name, MAXNAMELEN);

    return r ? r : *x < *y ? -1 : *x > *y;
}

/* Which entries have a name that an earlier one has already? From malloc. */
static bool *find_duplicates(struct Check *k, uint32_t dir, const struct FsDirent *ent, size_t n)
{
    const struct FsDirent **sorted = malloc((n + 1) * sizeof(*sorted));
    bool *dup = calloc(n + 1, sizeof(*dup));

    if (!sorted || !dup)
        die("out of memory");
    for (size_t i = 0; i < n; i++)
        sorted[i] = &ent[i];
    qsort(sorted, n, sizeof(*sorted), by_name);
    for (size_t i = 1; i < n; i++)
        if (sorted[i]->d_name[0] &&
            strncmp(sorted[i - 1]->d_name, sorted[i]->d_name, MAXNAMELEN) == 0) {
            problem(k, dir, "has two entries named %.*s", MAXNAMELEN, sorted[i]->d_name);
            dup[sorted[i] - ent] = true;
        }
    free(sorted);
    return dup;
}

/* Check one entry. False: it has to go. */
static bool check_entry(struct Check *k, uint32_t dir, struct FsDirent *ent)
{
    const char *name = ent->d_name;
    struct FsInode inode;

    if (!fs_name_ok(name)) {
        problem(k, dir, "has an entry with a bad name");
        return false;
    }
    if (ent->d_inum < FS_ROOT || ent->d_inum >= k->fs->super.ninodes) {
        problem(k, dir, "entry %s names inode %u, which does not exist", name, ent->d_inum);
        return false;
    }
    inode = *get_inode(k, ent->d_inum);
    if (inode.i_type == FS_FREE) {
        problem(k, dir, "entry %s names inode %u, which is free", name, ent->d_inum);
        return false;
    }
    if (k->named[ent->d_inum]) {
        problem(k, dir, "entry %s names inode %u, which has another name", name, ent->d_inum);
        return false;
    }
    k->named[ent->d_inum] = 1;
    if (inode.i_orphan) {
        problem(k, dir, "entry %s names inode %u, which is marked as removed", name, ent->d_inum);
        inode.i_orphan = 0;
        put_inode(k, ent->d_inum, &inode);
    }
    uint32_t want = inode.i_type == FS_DIR ? FTYPE_DIR : FTYPE_REG;
    if (ent->d_type != want)
        problem(k, dir, "entry %s has the wrong type", name);
    ent->d_type = want;
    return true;
}

/* Write a directory's good entries back, without gaps. */
static void rewrite(struct Check *k, uint32_t dir, const struct FsDirent *ent, size_t n)
{
    ssize_t size = n * sizeof(*ent), r = 0;

    if (size)
        r = fs_write(k->fs, dir, ent, size, 0);
    if (r == size)
        r = fs_truncate(k->fs, dir, size);
    if (r < 0)
        die("cannot rewrite directory %s: %s", k->path[dir], error_words(r));
}

/* Check a directory and everything below it. */
static void check_dir(struct Check *k, uint32_t dir)
{
    size_t n, good = 0;
    struct FsDirent *ent = read_entries(k->fs, dir, &n);
    uint32_t before = k->problems;

    bool *dup = find_duplicates(k, dir, ent, n);
    for (size_t i = 0; i < n; i++)
        if (!dup[i] && check_entry(k, dir, &ent[i]))
            ent[good++] = ent[i];
    free(dup);
    if (k->problems != before && k->repair)
        rewrite(k, dir, ent, good);
    for (size_t i = 0; i < good; i++)
        if (ent[i].d_type == FTYPE_DIR)
            check_dir(k, ent[i].d_inum);
    free(ent);
}

/* Inodes that no directory names: files whose removal or creation was cut short. */
static void check_unnamed(struct Check *k)
{
    for (uint32_t i = FS_ROOT + 1; i < k->fs->super.ninodes; i++) {
        const struct FsInode *ip = get_inode(k, i);
        if (ip->i_type == FS_FREE || k->named[i])
            continue;
        problem(k, i,
                ip->i_orphan ? "was removed while in use; its space is still taken"
                             : "is in no directory");
        if (!k->repair)
            continue;
        int r = fs_inode_free(k->fs, i);
        if (r < 0)
            die("cannot free inode %u: %s", i, error_words(r));
    }
}

/* ---- All of it ---- */

static void check_mounted(struct Check *k)
{
    bool was_quiet = quiet;

    quiet = true;
    note_paths(k, FS_ROOT);
    quiet = was_quiet;
    k->fs->complaints = 0;
    check_inodes(k);
    check_bitmap(k);
    k->named[FS_ROOT] = 1;
    check_dir(k, FS_ROOT);
    check_unnamed(k);
}

enum CheckResult fs_check(struct Fs *fs, struct Disk *disk, bool repair, bool *mounted)
{
    struct Check k = { .fs = fs, .repair = repair };

    memset(fs, 0, sizeof(*fs));
    *mounted = false;
    if (!check_super(&k, disk))
        return CHECK_PROBLEMS;
    int r = fs_mount(fs, disk, CACHE_BLOCKS);
    if (r < 0)
        die("%s: %s", disk->name, error_words(r));
    *mounted = true;
    k.owner = calloc(fs->super.nblocks, sizeof(*k.owner));
    k.named = calloc(fs->super.ninodes, sizeof(*k.named));
    k.path = calloc(fs->super.ninodes, sizeof(*k.path));
    if (!k.owner || !k.named || !k.path || !(k.path[FS_ROOT] = strdup("/")))
        die("out of memory");
    check_mounted(&k);
    if (repair) {
        fs->norphans = 0;
        if (fs_sync(fs) < 0)
            die("%s: cannot write the repairs", disk->name);
    }
    for (uint32_t i = 0; i < fs->super.ninodes; i++)
        free(k.path[i]);
    free(k.path);
    free(k.named);
    free(k.owner);
    if (k.problems == 0)
        return CHECK_CLEAN;
    return k.repaired == k.problems ? CHECK_REPAIRED : CHECK_PROBLEMS;
}
