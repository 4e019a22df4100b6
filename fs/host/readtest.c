/*
 * Reads of many blocks at once. The disk counts what it is asked for, and has a bad block when one
 * is wanted. The cache is so small that a long file fills it.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <fs/core/alloc.h>
#include <fs/core/dir.h>
#include <fs/core/file.h>
#include <fs/core/mount.h>
#include <fs/core/sync.h>
#include <fs/host/hostdev.h>
#include <fs/host/hosttest.h>
#include <fs/host/readtest.h>
#include <inc/error.h>

#define NBLOCKS    2000
#define CACHE      256 /* blocks */
#define LONG_FILE  700 /* blocks: more than the cache has */
#define SHORT_FILE 8   /* blocks */
#define AT_ONCE    (FSREAD_MAX / BLKSIZE)
#define NONE       0 /* no block of a file's */

static struct {
    struct HostDisk host;
    int (*read)(struct Disk *d, uint32_t block, uint32_t n, void *const page[]);
    uint32_t bad; /* block that cannot be read */
    unsigned long commands, blocks;
} disk;
static struct Fs fs;
static uint8_t buf[FSREAD_MAX] __attribute__((aligned(BLKSIZE)));

static int counting_read(struct Disk *d, uint32_t block, uint32_t n, void *const page[])
{
    disk.commands++;
    disk.blocks += n;
    if (disk.bad != NONE && disk.bad >= block && disk.bad < block + n)
        return -E_IO;
    return disk.read(d, block, n, page);
}

static void count_from_zero(void)
{
    disk.commands = disk.blocks = 0;
}

static uint8_t byte_at(uint64_t off)
{
    return off / BLKSIZE * 7 + off;
}

static uint32_t make_file(const char *path, uint32_t nblocks)
{
    uint32_t inum;

    CHECK(fs_create(&fs, path, FS_FILE, &inum) == 0);
    for (uint64_t off = 0; off < (uint64_t)nblocks * BLKSIZE; off += BLKSIZE) {
        for (uint32_t i = 0; i < BLKSIZE; i++)
            buf[i] = byte_at(off + i);
        CHECK(fs_write(&fs, inum, buf, BLKSIZE, off) == BLKSIZE);
    }
    return inum;
}

static void mount_fresh(void)
{
    CHECK(fs_sync(&fs) == 0);
    fs_unmount(&fs);
    CHECK(fs_mount(&fs, &disk.host.disk, CACHE) == 0);
    count_from_zero();
}

/* A read of n bytes returns so many, which are right. */
static void read_is(uint32_t inum, size_t n, uint64_t off, ssize_t want)
{
    memset(buf, 0, sizeof(buf));
    CHECK(fs_read(&fs, inum, buf, n, off) == want);
    for (ssize_t i = 0; i < want; i++)
        CHECK(buf[i] == byte_at(off + i));
}

static void read_all(uint32_t inum, uint32_t nblocks)
{
    for (uint64_t off = 0; off < (uint64_t)nblocks * BLKSIZE; off += FSREAD_MAX) {
        size_t n = MIN((uint64_t)nblocks * BLKSIZE - off, sizeof(buf));
        read_is(inum, n, off, n);
    }
}

static uint32_t block_of(uint32_t inum, uint64_t fb)
{
    struct FsInode *ip;
    uint32_t block;

    CHECK(fs_inode_used(&fs, inum, &ip) == 0 && fs_bmap(&fs, ip, fb, &block) == 0);
    return block;
}

static bool all_cached(uint32_t inum, uint32_t nblocks)
{
    for (uint32_t fb = 0; fb < nblocks; fb++)
        if (!cache_has(&fs.cache, block_of(inum, fb)))
            return false;
    return true;
}

/* What was there stays, whether a long file fits beside it or not. */
static void evicts_nothing(uint32_t longer, uint32_t shorter)
{
    mount_fresh();
    read_all(shorter, SHORT_FILE);
    for (int i = 0; i < 3; i++)
        read_all(longer, LONG_FILE);
    CHECK(all_cached(shorter, SHORT_FILE));
}

/* What fits is read from the disk once, in long pieces. */
static void fills_cache(uint32_t longer)
{
    const uint32_t part = CACHE / 2;

    mount_fresh();
    read_all(longer, part);
    CHECK(disk.commands <= part / DISK_MAX_RUN + 8); /* tables and inodes, too */
    count_from_zero();
    read_all(longer, part);
    CHECK(disk.commands == 0);
}

/* What does not fit takes a command for each request, and not more blocks than were asked for. */
static void passes_full_cache(uint32_t longer)
{
    const uint32_t part = 8 * AT_ONCE, from = LONG_FILE - part;

    mount_fresh();
    read_all(longer, LONG_FILE);
    count_from_zero();
    for (uint32_t fb = from; fb < LONG_FILE; fb += AT_ONCE)
        read_is(longer, FSREAD_MAX, (uint64_t)fb * BLKSIZE, FSREAD_MAX);
    CHECK(disk.commands <= part / AT_ONCE && disk.blocks <= part);
}

/* Everything before a bad block is read, it is an error itself, and the next one is read again. */
static void bad_block(uint32_t inum, uint64_t fb)
{
    uint64_t bad = fb * BLKSIZE;

    disk.bad = block_of(inum, fb);
    read_is(inum, FSREAD_MAX, bad - 3 * BLKSIZE, 3 * BLKSIZE);
    CHECK(fs_read(&fs, inum, buf, FSREAD_MAX, bad) == -E_IO);
    read_is(inum, 5 * BLKSIZE, bad + BLKSIZE, 5 * BLKSIZE);
    disk.bad = NONE;
    read_is(inum, FSREAD_MAX, bad - 3 * BLKSIZE, FSREAD_MAX);
}

static void bad_blocks(uint32_t longer)
{
    quiet = true;
    mount_fresh();
    bad_block(longer, 40); /* while the cache has room, */
    read_all(longer, LONG_FILE);
    bad_block(longer, LONG_FILE - 40); /* and when it is full */
    quiet = false;
}

/* A block that was changed and not written yet is newer than the disk's. */
static void changed_block(uint32_t longer)
{
    const uint64_t off = (uint64_t)(LONG_FILE - 40) * BLKSIZE;

    mount_fresh();
    read_all(longer, LONG_FILE);
    memset(buf, 0xee, BLKSIZE);
    CHECK(fs_write(&fs, longer, buf, BLKSIZE, off) == BLKSIZE);
    CHECK(fs_read(&fs, longer, buf, FSREAD_MAX, off - BLKSIZE) == (ssize_t)FSREAD_MAX);
    CHECK(buf[0] == byte_at(off - BLKSIZE) && buf[BLKSIZE] == 0xee && buf[2 * BLKSIZE - 1] == 0xee);
    CHECK(buf[2 * BLKSIZE] == byte_at(off + BLKSIZE));
}

void test_long_reads(void)
{
    FILE *image = tmpfile();

    CHECK(image && ftruncate(fileno(image), (off_t)NBLOCKS * BLKSIZE) == 0);
    hostdisk_init(&disk.host, "test disk", fileno(image), NBLOCKS);
    disk.read = disk.host.disk.read;
    disk.host.disk.read = counting_read;
    CHECK(fs_format(&fs, &disk.host.disk, CACHE) == 0);
    uint32_t longer = make_file("/long", LONG_FILE), shorter = make_file("/short", SHORT_FILE);
    evicts_nothing(longer, shorter);
    fills_cache(longer);
    passes_full_cache(longer);
    bad_blocks(longer);
    changed_block(longer);
    fs_unmount(&fs);
    fclose(image);
    printf("hosttest: long reads: files of %d and %d blocks, a cache of %d: ok\n", LONG_FILE,
           SHORT_FILE, CACHE);
}
