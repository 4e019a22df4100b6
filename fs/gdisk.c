/*
 * Disks of guests. A guest's disk is an image file of this file system, given to it by its monitor;
 * the guest asks for blocks of that one file and can reach nothing else.
 */
#include <fs/serv.h>

#define MAXGUESTS 64

static struct GuestDisk {
    envid_t guest; /* 0: unused */
    uint32_t inum;
    uint32_t nblocks;
} gdisks[MAXGUESTS];

static bool alive(envid_t id)
{
    const volatile struct Env *e = &envs[ENVX(id)];

    return e->env_id == id && e->env_type == ENV_TYPE_GUEST && e->env_status != ENV_FREE &&
           e->env_status != ENV_DYING && e->env_status != ENV_ZOMBIE;
}

bool gdisk_has(uint32_t inum)
{
    for (int i = 0; i < MAXGUESTS; i++)
        if (gdisks[i].guest && gdisks[i].inum == inum && alive(gdisks[i].guest))
            return true;
    return false;
}

int gdisk_sweep(void)
{
    int n = 0;

    for (int i = 0; i < MAXGUESTS; i++) {
        if (!gdisks[i].guest || alive(gdisks[i].guest))
            continue;
        gdisks[i].guest = 0;
        if (!open_has(gdisks[i].inum, 0) && !gdisk_has(gdisks[i].inum))
            fs_release(&fs, gdisks[i].inum);
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

int gdisk_attach(envid_t guest, uint32_t inum)
{
    struct FsStat st;
    int r = fs_stat(&fs, inum, &st);

    gdisk_sweep();
    if (r < 0)
        return r;
    if (st.type != FTYPE_REG)
        return -E_IS_DIR;
    if (st.size < BLKSIZE)
        return -E_INVAL;
    if (find(guest) || gdisk_has(inum) || open_has(inum, O_WRONLY | O_RDWR))
        return -E_BUSY;
    struct GuestDisk *gd = find(0);
    if (!gd)
        return -E_MAX_OPEN;
    *gd = (struct GuestDisk){ .guest = guest, .inum = inum, .nblocks = st.size / BLKSIZE };
    return 0;
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
        n = fs_read(&fs, gd->inum, page, BLKSIZE, block * BLKSIZE);
    else if (GDISK_REQ(value) == GDISK_WRITE)
        n = fs_write(&fs, gd->inum, page, BLKSIZE, block * BLKSIZE);
    else
        return -E_INVAL;
    return n == BLKSIZE ? 0 : n < 0 ? n : -E_IO;
}
