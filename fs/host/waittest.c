/*
 * Requests that must not wait for the disk: with cached_only, reads and writes to blocks that a
 * file has succeed or fail with -E_AGAIN, the disk hears nothing of them, and the same request
 * without the mark succeeds.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <fs/core/dir.h>
#include <fs/core/file.h>
#include <fs/core/mount.h>
#include <fs/core/sync.h>
#include <fs/host/hosttest.h>
#include <fs/host/waittest.h>
#include <inc/error.h>

#define NBLOCKS 3000
#define CACHE   300 /* blocks */
#define SIZE    (1200 * BLKSIZE)
#define OPS     20000
#define MANY    8 /* blocks at once */

static struct Fs fs;
static struct HostDisk host;
static int (*host_read)(struct Disk *d, uint32_t block, uint32_t n, void *const page[]);
static int (*host_write)(struct Disk *d, uint32_t block, uint32_t n, void *const page[]);
static uint8_t model[SIZE];
static unsigned long at_once, later;

static int watched_read(struct Disk *d, uint32_t block, uint32_t n, void *const page[])
{
    CHECK(!fs.cache.cached_only);
    return host_read(d, block, n, page);
}

static int watched_write(struct Disk *d, uint32_t block, uint32_t n, void *const page[])
{
    CHECK(!fs.cache.cached_only);
    return host_write(d, block, n, page);
}

static void setup(int fd, uint32_t *inum)
{
    CHECK(ftruncate(fd, (off_t)NBLOCKS * BLKSIZE) == 0);
    hostdisk_init(&host, "watched disk", fd, NBLOCKS);
    host_read = host.disk.read;
    host_write = host.disk.write;
    host.disk.read = watched_read;
    host.disk.write = watched_write;
    CHECK(fs_format(&fs, &host.disk, CACHE) == 0 && fs_create(&fs, "/disk", FS_FILE, inum) == 0);
    for (size_t i = 0; i < SIZE; i++)
        model[i] = rng();
    CHECK(fs_write(&fs, *inum, model, SIZE, 0) == SIZE);
}

/* Within one block, first without waiting. */
static void operate(uint32_t inum, bool write)
{
    uint8_t buf[BLKSIZE];
    size_t at = below(BLKSIZE / 512) * 512, n = BLKSIZE - at;
    uint64_t off = (below(2) ? below(40) : below(SIZE / BLKSIZE)) * BLKSIZE + at;
    ssize_t r = -E_AGAIN;

    for (size_t i = 0; write && i < n; i++)
        buf[i] = model[off + i] = rng();
    for (int wait = 0; wait < 2 && r == -E_AGAIN; wait++) {
        fs.cache.cached_only = !wait;
        r = write ? fs_write(&fs, inum, buf, n, off) : fs_read(&fs, inum, buf, n, off);
        fs.cache.cached_only = false;
        at_once += r >= 0 && !wait;
        later += r < 0;
    }
    CHECK(r == (ssize_t)n && memcmp(buf, model + off, n) == 0);
}

/* Whole blocks at once: the first of them come without waiting, as many as are in the cache. */
static void read_many(uint32_t inum)
{
    static uint8_t buf[MANY * BLKSIZE] __attribute__((aligned(BLKSIZE)));
    uint64_t off = below(SIZE / BLKSIZE - MANY) * BLKSIZE;

    fs.cache.cached_only = true;
    ssize_t r = fs_read(&fs, inum, buf, sizeof(buf), off);
    fs.cache.cached_only = false;
    CHECK(r == -E_AGAIN || (r > 0 && r % BLKSIZE == 0));
    at_once += r > 0;
    later += r < 0;
    size_t done = MAX(r, 0l);
    CHECK(memcmp(buf, model + off, done) == 0);
    CHECK(done == sizeof(buf) || fs_read(&fs, inum, buf + done, sizeof(buf) - done, off + done) ==
                                     (ssize_t)(sizeof(buf) - done));
    CHECK(memcmp(buf, model + off, sizeof(buf)) == 0);
}

void test_waiting(void)
{
    static uint8_t buf[SIZE];
    FILE *image = tmpfile();
    uint32_t inum;

    CHECK(image);
    setup(fileno(image), &inum);
    for (int i = 0; i < OPS; i++) {
        operate(inum, below(3) == 0);
        if (below(8) == 0)
            read_many(inum);
    }
    CHECK(at_once > OPS / 10 && later > OPS / 10);
    CHECK(fs_read(&fs, inum, buf, SIZE, 0) == SIZE && memcmp(buf, model, SIZE) == 0);
    CHECK(fs_sync(&fs) == 0);
    fs_unmount(&fs);
    fclose(image);
    printf("hosttest: waiting: %lu requests without the disk, %lu with it: ok\n", at_once, later);
}
