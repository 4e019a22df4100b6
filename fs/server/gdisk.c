/*
 * Disks of guests. A guest's disk is an image file of this file system, given to it by its monitor;
 * the guest, or the monitor for it, asks for blocks of that file and can reach nothing else. With a
 * base image, its own holds the blocks that it has written, and holes are read from the base, which
 * many guests share and nobody may write. Read-only disks are shared likewise.
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

#define MAXGUESTS    64              /* disks of all guests; handles are less (FSREQ_DISK_HANDLE) */
#define MAXOWNED     (MAXGUESTS / 4) /* disks of one family's guests */
#define OTHERS_SHARE 4               /* one part in so many of the blocks is never a guest's */

static struct GuestDisk gdisks[MAXGUESTS];

static bool guest_is_alive(envid_t id)
{
    const volatile struct Env *e = &envs[ENVX(id)];

    return e->env_id == id && e->env_type == ENV_TYPE_GUEST && env_status_is_alive(e->env_status);
}

/* Has this disk the image as its own, or (as_base) as one that it only reads? */
static bool uses(const struct GuestDisk *gd, uint32_t inum, bool as_base)
{
    bool read_only = gd->use & GUEST_DISK_READ_ONLY;

    if (as_base)
        return (read_only ? gd->inum : gd->base) == inum;
    return !read_only && gd->inum == inum;
}

/* The first living guest that has this image as its own, or (as_base) reads it only. */
static envid_t user_of(uint32_t inum, bool as_base)
{
    for (int i = 0; i < MAXGUESTS; i++) {
        const struct GuestDisk *gd = &gdisks[i];
        if (gd->guest && uses(gd, inum, as_base) && guest_is_alive(gd->guest))
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

/* The disk that a guest has by hypercall. */
static struct GuestDisk *find(envid_t guest)
{
    for (int i = 0; i < MAXGUESTS; i++)
        if (gdisks[i].guest == guest && !(gdisks[i].use & GUEST_DISK_MONITOR))
            return &gdisks[i];
    return NULL;
}

static struct GuestDisk *find_free(void)
{
    for (int i = 0; i < MAXGUESTS; i++)
        if (gdisks[i].guest == 0)
            return &gdisks[i];
    return NULL;
}

/* How many disks a guest has. */
static uint32_t count(envid_t guest)
{
    uint32_t n = 0;

    for (int i = 0; i < MAXGUESTS; i++)
        n += gdisks[i].guest == guest;
    return n;
}

/* Can this file be a disk? A guest that asks by hypercall has whole blocks only. */
static int check_image(uint32_t inum, uint32_t use, struct FsStat *st)
{
    int r = fs_stat(&fs, inum, st);

    if (r < 0)
        return r;
    if (st->type != FTYPE_REG)
        return -E_IS_DIR;
    if (use & GUEST_DISK_MONITOR)
        return st->size < DISK_SECTOR || st->size % DISK_SECTOR ? -E_INVAL : 0;
    return st->size < BLKSIZE ? -E_INVAL : 0;
}

/* Would this use of an image get into the way of another one? Readers share. */
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
    int r = check_image(base, GUEST_DISK_CALLS, &st);

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

/* Blocks that hold so many bytes. */
static uint32_t blocks_of(uint64_t size)
{
    return (size + BLKSIZE - 1) / BLKSIZE;
}

/* The limit in blocks of an image for a disk of `size` bytes, of one in bytes (0: none). */
static uint32_t limit_of(uint64_t size, uint64_t limit)
{
    uint64_t whole = whole_image(blocks_of(size));

    return limit ? MIN(limit / BLKSIZE, whole) : whole;
}

/* Are these images what a disk can have, and is nobody in the way? *size: the disk's, in bytes. */
static int check_attach(const struct GdiskAttach *a, uint64_t *size, envid_t *holder)
{
    bool read_only = a->use & GUEST_DISK_READ_ONLY;
    struct FsStat st;
    int r;

    if (a->use & ~(GUEST_DISK_MONITOR | GUEST_DISK_READ_ONLY) || (read_only && a->base))
        return -E_INVAL;
    if (a->base && (r = check_image(a->base, GUEST_DISK_CALLS, &st)) < 0)
        return r;
    if ((r = check_image(a->inum, a->use, &st)) < 0)
        return r;
    *size = st.size;
    if (a->inum == a->base)
        return -E_INVAL;
    if (is_busy(a->inum, read_only, holder) || (a->base && is_busy(a->base, true, holder)))
        return -E_BUSY;
    return !(a->use & GUEST_DISK_MONITOR) && find(a->guest) ? -E_BUSY : 0;
}

int gdisk_attach(const struct GdiskAttach *a, envid_t *holder)
{
    uint64_t size;

    gdisk_sweep();
    open_sweep(); /* nobody may go on with an image that he had open */
    int r = check_attach(a, &size, holder);
    if (r < 0)
        return r;
    struct GuestDisk *gd = find_free();
    if (!gd || disks_of_family(envs[ENVX(a->guest)].env_family) >= MAXOWNED)
        return -E_MAX_OPEN;
    *gd = (struct GuestDisk){
        .guest = a->guest,
        .monitor = a->monitor,
        .number = count(a->guest),
        .use = a->use,
        .inum = a->inum,
        .base = a->base,
        .size = size,
        .limit = limit_of(size, a->limit),
    };
    return gd - gdisks;
}

uint64_t gdisk_size(int handle)
{
    return gdisks[handle].size;
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

int gdisk_info(envid_t guest, uint32_t number, struct GuestDiskInfo *info)
{
    const struct GuestDisk *gd = NULL;
    struct FsStat st;
    int64_t left;
    int r;

    for (int i = 0; i < MAXGUESTS && guest > 0 && !gd; i++)
        if (gdisks[i].guest == guest && gdisks[i].number == number && guest_is_alive(guest))
            gd = &gdisks[i];
    if (!gd)
        return -E_NOT_FOUND;
    if ((r = fs_stat(&fs, gd->inum, &st)) < 0 || (left = available(gd)) < 0)
        return -E_IO;
    *info = (struct GuestDiskInfo){
        .blocks = blocks_of(gd->size), .used = st.blocks, .limit = gd->limit, .left = left
    };
    return 0;
}

/* Sweep for room: removed files may still have blocks, and guests that are gone their promises.
 * Returns how many of both there were; *gd becomes NULL if its guest was one of them. */
static int make_free(struct GuestDisk **gd)
{
    envid_t guest = (*gd)->guest;
    int n = open_sweep() + gdisk_sweep();

    if ((*gd)->guest != guest)
        *gd = NULL;
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
    uint32_t nblocks = blocks_of(gd->size);
    int64_t avail = available(gd), missing = fs_tables_missing(&fs, gd->inum, nblocks);
    int64_t lacks = (int64_t)whole_image(nblocks) - st.blocks; /* of the whole disk */
    if (avail < 0 || missing < 0)
        return MIN(avail, missing);
    int64_t n = avail >= lacks ? most : MIN(MAX(avail - missing, avail / 3), most);
    promise(gd, MIN(avail, MAX(MIN(lacks, n + MIN(missing, 2 * n)), 0l)));
    return n;
}

int gdisk_may_grow(struct GuestDisk *gd, uint32_t b)
{
    int64_t need = fs_missing(&fs, gd->inum, b), avail = need > 0 ? available(gd) : 0;

    if (need < 0 || avail < 0)
        return MIN(need, avail);
    if (need > 0 && fs.cache.cached_only)
        return -E_AGAIN;
    if (need > avail && make_free(&gd) > 0)
        avail = gd ? available(gd) : -E_NOT_FOUND;
    if (avail < 0 || need > MAX(avail, (int64_t)gd->promised))
        return avail < 0 ? avail : -E_NO_DISK;
    promise(gd, gd->promised - MIN(gd->promised, (uint32_t)need));
    return 0;
}

/* ---- Requests of guests ---- */

static int discard(struct GuestDisk *gd, uint32_t block, uint32_t n)
{
    uint32_t nblocks = gd->size / BLKSIZE;

    if (n > GDISK_DISCARD_MAX || block > nblocks || n > nblocks - block)
        return -E_INVAL;
    return fs_punch(&fs, gd->inum, block, n);
}

int64_t gdisk_request(envid_t guest, uint64_t value, void *page, bool writable)
{
    struct GuestDisk *gd = find(guest);
    uint64_t block = GDISK_BLOCK(value);

    if (!gd)
        return -E_NOT_FOUND;
    if (GDISK_REQ(value) == GDISK_INFO)
        return gd->size / BLKSIZE;
    if (GDISK_REQ(value) == GDISK_FLUSH)
        return fs_sync(&fs);
    if (GDISK_REQ(value) == GDISK_READ && page && writable && block < gd->size / BLKSIZE)
        return MIN(gdata_read(gd, block * BLKSIZE, BLKSIZE, page), 0l);
    if (GDISK_REQ(value) < GDISK_INFO || GDISK_REQ(value) > GDISK_DISCARD)
        return -E_INVAL;
    if (gd->use & GUEST_DISK_READ_ONLY)
        return -E_PERM;
    if (GDISK_REQ(value) == GDISK_ROOM)
        return give_room(gd);
    if (GDISK_REQ(value) == GDISK_DISCARD)
        return discard(gd, GDISK_DISCARD_BLOCK(value), GDISK_DISCARD_N(value));
    if (GDISK_REQ(value) == GDISK_WRITE && page && block < gd->size / BLKSIZE)
        return MIN(gdata_write(gd, block * BLKSIZE, BLKSIZE, page), 0l);
    return -E_INVAL;
}

/* ---- Requests of monitors ---- */

/* May this env ask for the disk's blocks? Its monitor may, and other children of that, as long as
 * the guest lives: afterwards the image may be removed, and its inode another file's. */
static bool is_monitor(envid_t from, const struct GuestDisk *gd)
{
    return gd->guest && guest_is_alive(gd->guest) && (gd->use & GUEST_DISK_MONITOR) &&
           (from == gd->monitor || envs[ENVX(from)].env_parent_id == gd->monitor);
}

/* Give back, or zero, n bytes from `off` on. */
static int clear(struct GuestDisk *gd, uint64_t value, uint64_t off, uint64_t n)
{
    if (n > DISK_SECTORS_MAX * DISK_SECTOR)
        return -E_INVAL;
    if (FSREQ_NUMBER(value) == FSREQ_DISK_DISCARD)
        return gdata_discard(gd, off, n);
    return gdata_zero(gd, off, n, FSREQ_DISK_HINT(value) & DISK_UNMAP);
}

/* Read or write n bytes from `off` on. Returns sectors. */
static int64_t move(struct GuestDisk *gd, uint64_t value, uint64_t off, size_t n, void *buf)
{
    ssize_t done;

    fs.cache.cached_only = FSREQ_DISK_HINT(value) & DISK_QUICK;
    if (FSREQ_NUMBER(value) == FSREQ_DISK_READ)
        done = gdata_read(gd, off, n, buf);
    else
        done = gdata_write(gd, off, n, buf);
    fs.cache.cached_only = false;
    return done < 0 ? done : done / DISK_SECTOR;
}

int64_t gdisk_serve(envid_t from, uint64_t value, void *buf, size_t room)
{
    struct GuestDisk *gd = &gdisks[FSREQ_DISK_HANDLE(value)];
    uint64_t off = FSREQ_DISK_SECTOR(value) * DISK_SECTOR, n = FSREQ_DISK_N(value) * DISK_SECTOR;
    uint32_t req = FSREQ_NUMBER(value);
    bool read_only = gd->use & GUEST_DISK_READ_ONLY;

    if (!is_monitor(from, gd))
        return -E_NOT_FOUND;
    if (req == FSREQ_DISK_FLUSH)
        return read_only ? 0 : fs_sync(&fs);
    if (off > gd->size || n > gd->size - off)
        return -E_INVAL;
    if (req != FSREQ_DISK_READ && read_only)
        return -E_PERM;
    if (req == FSREQ_DISK_READ || req == FSREQ_DISK_WRITE)
        return n <= room ? move(gd, value, off, n, buf) : -E_INVAL;
    return clear(gd, value, off, n);
}
