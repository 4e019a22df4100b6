/*
 * Disks of guests. A guest's disk is an image file of this file system, given to it by its monitor;
 * the guest asks for blocks of that one file and can reach nothing else. With a base image, its own
 * holds the blocks that it has written, and holes are read from the base, which many guests share
 * and nobody may write.
 *
 * An image may grow to its guest's limit, and all of them only as long as a quarter of the file
 * system's blocks stays free for others. A guest whose cache holds what is still to be written asks
 * first how much it may count on (GDISK_ROOM); that much is kept from everybody else.
 */
#include <inc/lib.h>
#include <fs/core/alloc.h>
#include <fs/core/dir.h>
#include <fs/core/file.h>
#include <fs/core/format.h>
#include <fs/core/sync.h>
#include <fs/server/gdisk.h>
#include <fs/server/open.h>
#include <fs/server/serv.h>

#define MAXGUESTS    64
#define MAXOWNED     (MAXGUESTS / 4) /* disks of one family's guests */
#define OTHERS_SHARE 4               /* one part in so many of the blocks is never a guest's */

static struct GuestDisk {
    envid_t guest; /* 0: unused */
    uint32_t inum;
    uint32_t base; /* inode of the base image, 0: none */
    uint32_t nblocks;
    uint32_t limit;    /* blocks that its image may take, tables included */
    uint32_t promised; /* blocks of this file system that it counts on */
} gdisks[MAXGUESTS];

static bool guest_is_alive(envid_t id)
{
    const volatile struct Env *e = &envs[ENVX(id)];

    return e->env_id == id && e->env_type == ENV_TYPE_GUEST && env_status_is_alive(e->env_status);
}

/* The first living guest that has this image as its own, or (as_base) as its base. */
static envid_t user_of(uint32_t inum, bool as_base)
{
    for (int i = 0; i < MAXGUESTS; i++) {
        const struct GuestDisk *gd = &gdisks[i];
        if (gd->guest && (as_base ? gd->base : gd->inum) == inum && guest_is_alive(gd->guest))
            return gd->guest;
    }
    return 0;
}

bool gdisk_has(uint32_t inum)
{
    return user_of(inum, false) || user_of(inum, true);
}

envid_t gdisk_user(uint32_t inum)
{
    envid_t owner = user_of(inum, false);
    return owner ? owner : user_of(inum, true);
}

/* A guest no longer has this image. */
static void release_image(uint32_t inum)
{
    if (inum && !open_has(inum, 0) && !gdisk_has(inum))
        fs_release(&fs, inum);
}

static void promise(struct GuestDisk *gd, uint32_t n)
{
    fs.kept += n - gd->promised;
    gd->promised = n;
}

int gdisk_sweep(void)
{
    int n = 0;

    for (int i = 0; i < MAXGUESTS; i++) {
        if (!gdisks[i].guest || guest_is_alive(gdisks[i].guest))
            continue;
        gdisks[i].guest = 0;
        promise(&gdisks[i], 0);
        release_image(gdisks[i].inum);
        release_image(gdisks[i].base);
        n++;
    }
    return n;
}

static struct GuestDisk *find(envid_t guest)
{
    for (int i = 0; i < MAXGUESTS; i++)
        if (gdisks[i].guest == guest)
            return &gdisks[i];
    return NULL;
}

/* Can this file be a disk? */
static int check_image(uint32_t inum, struct FsStat *st)
{
    int r = fs_stat(&fs, inum, st);

    if (r < 0)
        return r;
    if (st->type != FTYPE_REG)
        return -E_IS_DIR;
    return st->size < BLKSIZE ? -E_INVAL : 0;
}

/* Would this use of an image get into the way of another one? A base is shared by its readers. */
static bool is_busy(uint32_t inum, bool as_base, envid_t *holder)
{
    *holder = user_of(inum, false);
    if (*holder == 0 && !as_base)
        *holder = user_of(inum, true);
    return *holder || open_has(inum, O_WRONLY | O_RDWR);
}

int gdisk_create(const char *path, uint32_t base, uint32_t *inum)
{
    struct FsStat st;
    int r = check_image(base, &st);

    if (r < 0 || (r = fs_create(&fs, path, FS_FILE, inum)) < 0)
        return r;
    if ((r = fs_truncate(&fs, *inum, st.size)) < 0)
        fs_remove(&fs, path);
    return r;
}

/* Disks of guests of this family. */
static int disks_of_family(envid_t family)
{
    int n = 0;

    for (int i = 0; i < MAXGUESTS; i++)
        n += gdisks[i].guest && envs[ENVX(gdisks[i].guest)].env_family == family;
    return n;
}

/* Blocks that an image takes which has all of a disk's, and its tables. */
static uint32_t whole_image(uint32_t nblocks)
{
    const uint32_t one = FS_NDIRECT, two = FS_NDIRECT + FS_NINDIRECT;

    if (nblocks <= two)
        return nblocks + (nblocks > one);
    return nblocks + 2 + (nblocks - two + FS_NINDIRECT - 1) / FS_NINDIRECT;
}

int gdisk_attach(envid_t guest, uint32_t inum, uint32_t base, uint64_t limit, envid_t *holder)
{
    struct FsStat st;
    int r;

    gdisk_sweep();
    open_sweep(); /* nobody may go on with an image that he had open */
    if (base && (r = check_image(base, &st)) < 0)
        return r;
    if ((r = check_image(inum, &st)) < 0)
        return r;
    if (inum == base)
        return -E_INVAL;
    if (find(guest) || is_busy(inum, false, holder) || (base && is_busy(base, true, holder)))
        return -E_BUSY;
    struct GuestDisk *gd = find(0);
    if (!gd || disks_of_family(envs[ENVX(guest)].env_family) >= MAXOWNED)
        return -E_MAX_OPEN;
    *gd = (struct GuestDisk){
        .guest = guest, .inum = inum, .base = base, .nblocks = st.size / BLKSIZE
    };
    gd->limit = whole_image(gd->nblocks);
    if (limit)
        gd->limit = MIN(limit / BLKSIZE, (uint64_t)gd->limit);
    return 0;
}

/* How many blocks the image may take now in addition; -E_*. */
static int64_t available(const struct GuestDisk *gd)
{
    uint32_t kept = fs.super.nblocks / OTHERS_SHARE + (fs.kept - gd->promised);
    uint32_t all = fs_free_blocks(&fs);
    struct FsStat st;
    int r = fs_stat(&fs, gd->inum, &st);

    if (r < 0)
        return r;
    return MIN(gd->limit - MIN(gd->limit, st.blocks), all - MIN(all, kept));
}

int gdisk_info(envid_t guest, struct GuestDiskInfo *info)
{
    struct GuestDisk *gd = guest > 0 && guest_is_alive(guest) ? find(guest) : NULL;
    struct FsStat st;
    int64_t left;
    int r;

    if (!gd)
        return -E_NOT_FOUND;
    if ((r = fs_stat(&fs, gd->inum, &st)) < 0 || (left = available(gd)) < 0)
        return -E_IO;
    *info = (struct GuestDiskInfo){
        .blocks = gd->nblocks, .used = st.blocks, .limit = gd->limit, .left = left
    };
    return 0;
}

/* Sweep for room: removed files may still have blocks, and guests that are gone their promises.
 * Returns how many of both there were; *gd becomes NULL if its guest was one of them. */
static int make_free(struct GuestDisk **gd)
{
    envid_t guest = (*gd)->guest;
    int n = open_sweep() + gdisk_sweep();

    *gd = find(guest);
    return n;
}

/* Promise as much as there is, within reason. Some of the blocks may need tables, of which the
 * image lacks so many, and a block at most two. */
static int64_t give_room(struct GuestDisk *gd)
{
    const int64_t most = GDISK_ROOM_MAX;
    struct FsStat st;
    int r;

    make_free(&gd);
    if (!gd)
        return -E_NOT_FOUND;
    if ((r = fs_stat(&fs, gd->inum, &st)) < 0)
        return r;
    int64_t avail = available(gd), missing = fs_tables_missing(&fs, gd->inum, gd->nblocks);
    int64_t lacks = (int64_t)whole_image(gd->nblocks) - st.blocks; /* of the whole disk */
    if (avail < 0 || missing < 0)
        return MIN(avail, missing);
    int64_t n = avail >= lacks ? most : MIN(MAX(avail - missing, avail / 3), most);
    promise(gd, MIN(avail, MAX(MIN(lacks, n + MIN(missing, 2 * n)), 0l)));
    return n;
}

/* Write a block, for which the file system's allocator is told of nobody's promises: they have been
 * looked at here. What this guest was promised it gets even after others have filled the disk. */
static ssize_t write_block(struct GuestDisk *gd, uint32_t b, const void *page)
{
    int64_t need = fs_missing(&fs, gd->inum, b), avail = need > 0 ? available(gd) : 0;

    if (need < 0 || avail < 0)
        return MIN(need, avail);
    if (need > avail && make_free(&gd) > 0)
        avail = gd ? available(gd) : -E_NOT_FOUND;
    if (avail < 0 || need > MAX(avail, (int64_t)gd->promised))
        return avail < 0 ? avail : -E_NO_DISK;
    promise(gd, gd->promised - MIN(gd->promised, (uint32_t)need));
    uint32_t kept = fs.kept;
    fs.kept = 0;
    ssize_t n = fs_write(&fs, gd->inum, page, BLKSIZE, (uint64_t)b * BLKSIZE);
    fs.kept = kept;
    return n;
}

static int discard(struct GuestDisk *gd, uint32_t block, uint32_t n)
{
    if (n > GDISK_DISCARD_MAX || block > gd->nblocks || n > gd->nblocks - block)
        return -E_INVAL;
    return fs_punch(&fs, gd->inum, block, n);
}

/* The image from which block b of a disk is to be read. */
static int source_of(const struct GuestDisk *gd, uint32_t b, uint32_t *inum)
{
    struct FsInode *ip;
    uint32_t block = 0;
    int r;

    *inum = gd->inum;
    if (gd->base == 0)
        return 0;
    if ((r = fs_inode_used(&fs, gd->inum, &ip)) < 0 || (r = fs_bmap(&fs, ip, b, &block)) < 0)
        return r;
    if (block == 0)
        *inum = gd->base;
    return 0;
}

/* A block past the end of the base is zero, as the guest left it. */
static ssize_t read_block(const struct GuestDisk *gd, uint32_t b, void *page)
{
    uint32_t inum;
    int r = source_of(gd, b, &inum);

    if (r < 0)
        return r;
    ssize_t n = fs_read(&fs, inum, page, BLKSIZE, (uint64_t)b * BLKSIZE);
    if (n < 0 || n == BLKSIZE || inum == gd->inum)
        return n;
    memset((char *)page + n, 0, BLKSIZE - n);
    return BLKSIZE;
}

int64_t gdisk_request(envid_t guest, uint64_t value, void *page, bool writable)
{
    struct GuestDisk *gd = find(guest);
    uint64_t block = GDISK_BLOCK(value);
    ssize_t n;

    if (!gd)
        return -E_NOT_FOUND;
    if (GDISK_REQ(value) == GDISK_INFO)
        return gd->nblocks;
    if (GDISK_REQ(value) == GDISK_FLUSH)
        return fs_sync(&fs);
    if (GDISK_REQ(value) == GDISK_ROOM)
        return give_room(gd);
    if (GDISK_REQ(value) == GDISK_DISCARD)
        return discard(gd, GDISK_DISCARD_BLOCK(value), GDISK_DISCARD_N(value));
    if (!page || block >= gd->nblocks)
        return -E_INVAL;
    if (GDISK_REQ(value) == GDISK_READ && writable)
        n = read_block(gd, block, page);
    else if (GDISK_REQ(value) == GDISK_WRITE)
        n = write_block(gd, block, page);
    else
        return -E_INVAL;
    return n == BLKSIZE ? 0 : n < 0 ? n : -E_IO;
}
