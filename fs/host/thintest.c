/*
 * A disk that has less space than blocks, as a guest's has: it stores what is written, promises
 * room, and loses what is discarded. A file system that asks before each request (fs_may_change)
 * never writes more than it was promised, and what it has taken is there afterwards.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <fs/core/dir.h>
#include <fs/core/disk.h>
#include <fs/core/file.h>
#include <fs/core/format.h>
#include <fs/core/fs.h>
#include <fs/core/mount.h>
#include <fs/core/sync.h>
#include <fs/host/check.h>
#include <fs/host/hostdev.h>
#include <fs/host/hosttest.h>
#include <fs/host/thintest.h>
#include <inc/error.h>

#define NBLOCKS     3000
#define CACHE       400 /* blocks */
#define PROMISE_MAX 256
#define NFILES      20
#define MAX_SIZE    (300 * BLKSIZE)
#define GARBAGE     0xdb

static struct ThinDisk {
    struct HostDisk host;
    bool stored[NBLOCKS];
    uint32_t nstored, limit;
    int64_t promised; /* new blocks that may still come */
    int (*write)(struct Disk *d, uint32_t block, uint32_t n, void *const page[]);
} thin;

static struct Fs fs;
static struct ThinFile {
    char path[16];
    bool exists;
    size_t size;
    uint8_t data[MAX_SIZE];
} files[NFILES];
static unsigned long taken, refused;

static int thin_write(struct Disk *d, uint32_t block, uint32_t n, void *const page[])
{
    for (uint32_t i = block; i < block + n; i++) {
        thin.nstored += !thin.stored[i];
        thin.promised -= !thin.stored[i];
        thin.stored[i] = true;
    }
    CHECK(thin.nstored <= thin.limit && thin.promised >= 0);
    return thin.write(d, block, n, page);
}

static uint32_t thin_room(struct Disk *d, uint32_t want)
{
    (void)d, (void)want;
    thin.promised = MIN(thin.limit - thin.nstored, (uint32_t)PROMISE_MAX);
    return thin.promised;
}

static void thin_discard(struct Disk *d, uint32_t block, uint32_t n)
{
    static uint8_t garbage[BLKSIZE];
    void *page[] = { memset(garbage, GARBAGE, sizeof(garbage)) };

    for (uint32_t i = block; i < block + n; i++) {
        CHECK(thin.write(d, i, 1, page) == 0);
        thin.nstored -= thin.stored[i];
        thin.stored[i] = false;
    }
}

/* May a request go on? */
static bool may_change(bool adds)
{
    int r = fs_may_change(&fs, adds);

    CHECK(r == 0 || r == -E_NO_DISK);
    taken += r == 0;
    refused += r < 0;
    return r == 0;
}

static void create(struct ThinFile *f)
{
    uint32_t inum;

    if (f->exists || !may_change(true))
        return;
    CHECK(fs_create(&fs, f->path, FS_FILE, &inum) == 0);
    f->exists = true;
    f->size = 0;
}

static void write_some(struct ThinFile *f)
{
    uint8_t buf[FSWRITE_MAX];
    size_t n = 1 + below(sizeof(buf)), off = below(2) ? f->size : below(MAX_SIZE);
    uint32_t inum;

    n = MIN(n, MAX_SIZE - off);
    if (!f->exists || n == 0 || !may_change(true))
        return;
    for (size_t i = 0; i < n; i++)
        buf[i] = rng();
    CHECK(fs_lookup(&fs, f->path, &inum) == 0 && fs_write(&fs, inum, buf, n, off) == (ssize_t)n);
    if (off > f->size)
        memset(f->data + f->size, 0, off - f->size);
    f->size = MAX(f->size, off + n);
    memcpy(f->data + off, buf, n);
}

static void resize(struct ThinFile *f)
{
    size_t size = below(MAX_SIZE);
    uint32_t inum;

    if (!f->exists || !may_change(false))
        return;
    CHECK(fs_lookup(&fs, f->path, &inum) == 0 && fs_truncate(&fs, inum, size) == 0);
    if (size > f->size)
        memset(f->data + f->size, 0, size - f->size);
    f->size = size;
}

static void remove_one(struct ThinFile *f)
{
    if (!f->exists || !may_change(false))
        return;
    CHECK(fs_remove(&fs, f->path) == 0);
    f->exists = false;
}

static void compare(const struct ThinFile *f)
{
    static uint8_t buf[MAX_SIZE];
    struct FsStat st;
    uint32_t inum;

    CHECK(fs_lookup(&fs, f->path, &inum) == (f->exists ? 0 : -E_NOT_FOUND));
    if (!f->exists)
        return;
    CHECK(fs_stat(&fs, inum, &st) == 0 && st.size == f->size);
    CHECK(fs_read(&fs, inum, buf, f->size, 0) == (ssize_t)f->size);
    CHECK(memcmp(buf, f->data, f->size) == 0);
}

/* All that was taken can be written, and is there when the disk is mounted again. */
static void check_all(void)
{
    static struct Fs check;
    bool mounted;

    CHECK(fs_sync(&fs) == 0);
    CHECK(fs_check(&check, &thin.host.disk, false, &mounted) == CHECK_CLEAN);
    fs_unmount(&check);
    fs_unmount(&fs);
    CHECK(fs_mount(&fs, &thin.host.disk, CACHE) == 0);
    for (int i = 0; i < NFILES; i++)
        compare(&files[i]);
}

static void mount_thin(int fd, uint32_t limit)
{
    hostdisk_init(&thin.host, "thin disk", fd, NBLOCKS);
    CHECK(ftruncate(fd, 0) == 0 && ftruncate(fd, (off_t)NBLOCKS * BLKSIZE) == 0);
    CHECK(fs_format(&fs, &thin.host.disk, CACHE) == 0); /* the base: not the guest's */
    memset(thin.stored, 0, sizeof(thin.stored));
    thin.nstored = 0;
    thin.limit = limit;
    thin.promised = 0;
    thin.write = thin.host.disk.write;
    thin.host.disk.write = thin_write;
    thin.host.disk.room = thin_room;
    thin.host.disk.discard = thin_discard;
    memset(files, 0, sizeof(files));
    for (int i = 0; i < NFILES; i++)
        snprintf(files[i].path, sizeof(files[i].path), "/thin%d", i);
}

static void run(int fd, uint32_t limit, int ops)
{
    mount_thin(fd, limit);
    for (int i = 1; i <= ops; i++) {
        struct ThinFile *f = &files[below(NFILES)];
        uint64_t dice = below(100);
        if (dice < 80)
            write_some(f);
        else if (dice < 95)
            create(f);
        else if (dice < 97)
            resize(f);
        else
            remove_one(f);
        if (i % 1000 == 0)
            check_all();
    }
    for (int i = 0; i < NFILES; i++)
        if (files[i].exists) {
            remove_one(&files[i]);
            CHECK(!files[i].exists); /* there is always room to remove something */
        }
    check_all();
    CHECK(thin_room(NULL, 0) > MIN(limit, (uint32_t)PROMISE_MAX) / 2); /* the space came back */
    fs_unmount(&fs);
}

void test_thin(bool full)
{
    static const uint32_t limits[] = { 80, 128, 200, 256, 700, 2000 };
    FILE *image = tmpfile();

    CHECK(image);
    for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
        run(fileno(image), limits[i], full ? 40000 : 4000);
    fclose(image);
    CHECK(refused > 0);
    printf("hosttest: thin disks: %lu requests taken, %lu refused: ok\n", taken, refused);
}
