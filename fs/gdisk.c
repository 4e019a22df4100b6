/*
 * Disks of guests. A guest's disk is an image file of this file system, given to it by its monitor;
 * the guest asks for blocks of that one file and can reach nothing else. With a base image, its own
 * holds the blocks that it has written, and holes are read from the base, which many guests share
 * and nobody may write.
 */
#include <fs/serv.h>

#define MAXGUESTS 64

static struct GuestDisk {
    envid_t guest; /* 0: unused */
    uint32_t inum;
    uint32_t base; /* inode of the base image, 0: none */
    uint32_t nblocks;
} gdisks[MAXGUESTS];

static bool alive(envid_t id)
{
    const volatile struct Env *e = &envs[ENVX(id)];

    return e->env_id == id && e->env_type == ENV_TYPE_GUEST && e->env_status != ENV_FREE &&
           e->env_status != ENV_DYING && e->env_status != ENV_ZOMBIE;
}

/* The first living guest that has this image as its own, or (as_base) as its base. */
static envid_t user_of(uint32_t inum, bool as_base)
{
    for (int i = 0; i < MAXGUESTS; i++) {
        const struct GuestDisk *gd = &gdisks[i];
        if (gd->guest && (as_base ? gd->base : gd->inum) == inum && alive(gd->guest))
            return gd->guest;
    }
    return 0;
}

bool gdisk_has(uint32_t inum)
{
    return user_of(inum, false) || user_of(inum, true);
}

/* A guest no longer has this image. */
static void drop(uint32_t inum)
{
    if (inum && !open_has(inum, 0) && !gdisk_has(inum))
        fs_release(&fs, inum);
}

int gdisk_sweep(void)
{
    int n = 0;

    for (int i = 0; i < MAXGUESTS; i++) {
        if (!gdisks[i].guest || alive(gdisks[i].guest))
            continue;
        gdisks[i].guest = 0;
        drop(gdisks[i].inum);
        drop(gdisks[i].base);
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

int gdisk_attach(envid_t guest, uint32_t inum, uint32_t base, envid_t *holder)
{
    struct FsStat st;
    int r;

    gdisk_sweep();
    if (base && (r = check_image(base, &st)) < 0)
        return r;
    if ((r = check_image(inum, &st)) < 0)
        return r;
    if (inum == base)
        return -E_INVAL;
    if (find(guest) || is_busy(inum, false, holder) || (base && is_busy(base, true, holder)))
        return -E_BUSY;
    struct GuestDisk *gd = find(0);
    if (!gd)
        return -E_MAX_OPEN;
    *gd = (struct GuestDisk){
        .guest = guest, .inum = inum, .base = base, .nblocks = st.size / BLKSIZE
    };
    return 0;
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

/* A block behind the end of the base is zero, as the guest left it. */
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
    if (!page || block >= gd->nblocks)
        return -E_INVAL;
    if (GDISK_REQ(value) == GDISK_READ && writable)
        n = read_block(gd, block, page);
    else if (GDISK_REQ(value) == GDISK_WRITE)
        n = fs_write(&fs, gd->inum, page, BLKSIZE, block * BLKSIZE);
    else
        return -E_INVAL;
    return n == BLKSIZE ? 0 : n < 0 ? n : -E_IO;
}
