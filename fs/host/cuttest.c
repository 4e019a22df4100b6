/*
 * Power failures at every write. A workload runs once on a disk in memory that remembers each write
 * and each flush; afterwards the disk is put together as it would be if the power had failed after
 * the n-th write, for every n. Writes between two flushes may also have reached the disk in any
 * other order, and the last one may have stopped after any of its sectors. Whatever was there at
 * the last sync, and has not been touched since, must be there as it was.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <fs/core/dir.h>
#include <fs/core/disk.h>
#include <fs/core/file.h>
#include <fs/core/format.h>
#include <fs/core/fs.h>
#include <fs/core/mount.h>
#include <fs/core/recover.h>
#include <fs/core/sync.h>
#include <fs/host/check.h>
#include <fs/host/cuttest.h>
#include <fs/host/hostdev.h>
#include <fs/host/hosttest.h>
#include <inc/error.h>

#define CACHE_BLOCKS 64
#define SECTOR       512
#define NTRACKED     140
#define MAX_EPOCHS   64
#define MAX_WRITES   20000
#define QUICK_CUTS   50 /* at most about so many of each workload */
#define VARIANTS     4  /* of each cut: in order, in order and torn, twice in any order */
#define UNTOUCHED    UINT32_MAX

/* ---- The disk ---- */

struct Write {
    uint32_t block;
    uint32_t window; /* the first write since the flush before it */
    char data[BLKSIZE];
};

static struct LogDisk {
    struct Disk disk;
    char *data;  /* as it is now */
    char *base;  /* as it was when the log began, and later up to a window (advance) */
    uint32_t at; /* writes that are in base */
    struct Write *log;
    uint32_t nlog, window;
    bool logging;
} ld;

static int log_read(struct Disk *d, uint32_t block, uint32_t n, void *const page[])
{
    (void)d;
    for (uint32_t i = 0; i < n; i++)
        memcpy(page[i], ld.data + (size_t)(block + i) * BLKSIZE, BLKSIZE);
    return 0;
}

static int log_write(struct Disk *d, uint32_t block, uint32_t n, void *const page[])
{
    (void)d;
    for (uint32_t i = 0; i < n; i++) {
        memcpy(ld.data + (size_t)(block + i) * BLKSIZE, page[i], BLKSIZE);
        if (!ld.logging)
            continue;
        CHECK(ld.nlog < MAX_WRITES);
        struct Write *w = &ld.log[ld.nlog++];
        w->block = block + i;
        w->window = ld.window;
        memcpy(w->data, page[i], BLKSIZE);
    }
    return 0;
}

static int log_flush(struct Disk *d)
{
    (void)d;
    ld.window = ld.nlog;
    return 0;
}

static void log_start(uint32_t nblocks)
{
    size_t size = (size_t)nblocks * BLKSIZE;

    ld = (struct LogDisk){ .disk = { .name = "logged disk",
                                     .nblocks = nblocks,
                                     .max_run = DISK_MAX_RUN,
                                     .read = log_read,
                                     .write = log_write,
                                     .flush = log_flush },
                           .data = calloc(1, size),
                           .base = malloc(size),
                           .log = malloc(MAX_WRITES * sizeof(*ld.log)) };
    CHECK(ld.data && ld.base && ld.log);
}

static void log_end(void)
{
    free(ld.data);
    free(ld.base);
    free(ld.log);
}

static void apply(char *disk, const struct Write *w, size_t bytes)
{
    memcpy(disk + (size_t)w->block * BLKSIZE, w->data, bytes);
}

/* The disk after a power failure, in which of the first n writes those before the last flush are
 * safe. */
static void cut_at(uint32_t n, bool torn, bool any_order)
{
    uint32_t window = n < ld.nlog ? ld.log[n].window : ld.window;

    for (; ld.at < window; ld.at++)
        apply(ld.base, &ld.log[ld.at], BLKSIZE);
    memcpy(ld.data, ld.base, (size_t)ld.disk.nblocks * BLKSIZE);
    for (uint32_t i = window; i < n; i++)
        if (!any_order || below(2))
            apply(ld.data, &ld.log[i], BLKSIZE);
    if (torn && n < ld.nlog)
        apply(ld.data, &ld.log[n], below(BLKSIZE / SECTOR) * SECTOR);
}

/* ---- What should be there ---- */

struct Tracked {
    char path[40];
    bool exists;
    uint64_t size, sum;
    uint32_t touched; /* writes that had been made when it was first changed after the sync */
};

/* The time from one sync to the next. */
static struct Epoch {
    uint32_t begin; /* writes at its start */
    struct Tracked file[NTRACKED];
} epochs[MAX_EPOCHS];
static uint32_t nepochs, ntracked;
static struct Fs fs;

static uint64_t sum_of(uint32_t inum, uint64_t size)
{
    static uint8_t buf[BLKSIZE];
    uint64_t sum = 14695981039346656037ul;

    for (uint64_t off = 0; off < size;) {
        ssize_t n = fs_read(&fs, inum, buf, sizeof(buf), off);
        CHECK(n > 0);
        for (ssize_t i = 0; i < n; i++)
            sum = (sum ^ buf[i]) * 1099511628211ul;
        off += n;
    }
    return sum;
}

static struct Tracked *now(uint32_t f)
{
    return &epochs[nepochs - 1].file[f];
}

/* Note the state of all files as the beginning of an epoch. */
static void begin_epoch(void)
{
    CHECK(nepochs < MAX_EPOCHS);
    struct Epoch *e = &epochs[nepochs];
    if (nepochs > 0)
        memcpy(e->file, e[-1].file, sizeof(e->file));
    e->begin = ld.nlog;
    nepochs++;
    for (uint32_t f = 0; f < ntracked; f++) {
        struct Tracked *t = &e->file[f];
        uint32_t inum;
        struct FsStat st;
        t->touched = UNTOUCHED;
        t->exists = fs_lookup(&fs, t->path, &inum) == 0;
        if (!t->exists)
            continue;
        CHECK(fs_stat(&fs, inum, &st) == 0);
        t->size = st.size;
        t->sum = sum_of(inum, st.size);
    }
}

static void sync_now(void)
{
    CHECK(fs_sync(&fs) == 0);
    begin_epoch();
}

static struct Tracked *touch(uint32_t f)
{
    struct Tracked *t = now(f);
    if (t->touched == UNTOUCHED)
        t->touched = ld.nlog;
    return t;
}

/* ---- Operations ---- */

static void put(uint32_t f, uint64_t off, size_t n)
{
    static uint8_t buf[16 * BLKSIZE];
    struct Tracked *t = touch(f);
    uint32_t inum;
    int r = fs_lookup(&fs, t->path, &inum);

    if (r == -E_NOT_FOUND)
        r = fs_create(&fs, t->path, FS_FILE, &inum);
    CHECK(r == 0 || r == -E_NO_DISK);
    for (size_t i = 0; i < n; i++)
        buf[i] = rng();
    if (r == 0 && n > 0) {
        ssize_t done = fs_write(&fs, inum, buf, n, off);
        CHECK(done > 0 || done == -E_NO_DISK);
    }
}

static void drop(uint32_t f)
{
    int r = fs_remove(&fs, touch(f)->path);
    CHECK(r == 0 || r == -E_NOT_FOUND);
}

static void shrink(uint32_t f, uint64_t size)
{
    uint32_t inum;

    if (fs_lookup(&fs, touch(f)->path, &inum) == 0)
        CHECK(fs_truncate(&fs, inum, size) == 0);
}

/* ---- Workloads ---- */

static void random_op(uint32_t f, uint64_t reach)
{
    switch (below(5)) {
    case 0:
        drop(f);
        break;
    case 1:
        shrink(f, below(reach));
        break;
    default:
        put(f, below(reach), 1 + below(3 * BLKSIZE));
    }
}

static void small_files(void)
{
    for (int i = 0; i < 260; i++) {
        random_op(below(ntracked), 4 * BLKSIZE);
        if (below(30) == 0)
            sync_now();
    }
}

/* Files come and go in a directory of several blocks, so that its entries move. */
static void large_directory(void)
{
    for (int i = 0; i < 500; i++) {
        uint32_t f = below(ntracked);
        uint32_t inum;
        if (fs_lookup(&fs, now(f)->path, &inum) == 0)
            drop(f);
        else
            put(f, 0, below(2) * BLKSIZE);
        if (below(20) == 0)
            sync_now();
        else if (below(20) == 0)
            CHECK(fs_writeback(&fs) == 0);
    }
}

/* All files of a directory are removed, in the order of their names. */
static void empty_directory(void)
{
    for (uint32_t f = 0; f < ntracked; f++) {
        drop(f);
        if (f % 10 == 9)
            CHECK(fs_writeback(&fs) == 0);
    }
}

static void large_files(void)
{
    const uint64_t reach = (FS_NDIRECT + FS_NINDIRECT + 40) * BLKSIZE;

    for (int i = 0; i < 200; i++) {
        random_op(below(ntracked), below(2) ? reach : FS_NDIRECT * 2 * BLKSIZE);
        if (below(20) == 0)
            sync_now();
    }
}

static const struct Workload {
    const char *name;
    void (*run)(void);
    uint32_t nblocks;
    uint32_t files;    /* that are tracked */
    uint32_t at_start; /* of these exist at first, with a byte or a block in each */
} workloads[] = {
    { "small files", small_files, 400, 30, 20 },
    { "a full disk", small_files, 110, 30, 20 },
    { "a large directory", large_directory, 800, NTRACKED, NTRACKED },
    { "a directory that is emptied", empty_directory, 800, NTRACKED, NTRACKED },
    { "large files", large_files, 600, 5, 5 },
};

static void prepare(const struct Workload *w)
{
    uint32_t inum;

    log_start(w->nblocks);
    CHECK(fs_format(&fs, &ld.disk, CACHE_BLOCKS) == 0);
    CHECK(fs_create(&fs, "/dir", FS_DIR, &inum) == 0);
    ntracked = w->files;
    nepochs = 0;
    begin_epoch();
    for (uint32_t f = 0; f < ntracked; f++) {
        snprintf(now(f)->path, sizeof(now(f)->path), "/dir/file%u", f);
        if (f < w->at_start)
            put(f, 0, f % 2 ? 1 : BLKSIZE);
    }
    CHECK(fs_sync(&fs) == 0);
    memcpy(ld.base, ld.data, (size_t)ld.disk.nblocks * BLKSIZE);
    ld.logging = true;
    nepochs = 0; /* the paths stay where they are */
    begin_epoch();
}

/* ---- After the failure ---- */

/* Each file is what it was at the sync, if nothing has been done to it before write n. */
static void compare(const struct Epoch *e, uint32_t n)
{
    for (uint32_t f = 0; f < ntracked; f++) {
        const struct Tracked *t = &e->file[f];
        uint32_t inum;
        struct FsStat st;
        if (n > t->touched)
            continue;
        if ((fs_lookup(&fs, t->path, &inum) == 0) != t->exists)
            die("seed %lu: cut at write %u: %s is %s", seed, n, t->path,
                t->exists ? "lost" : "back");
        if (!t->exists)
            continue;
        CHECK(fs_stat(&fs, inum, &st) == 0 && st.size == t->size);
        if (sum_of(inum, t->size) != t->sum)
            die("seed %lu: cut at write %u: %s has changed", seed, n, t->path);
    }
}

/* Go on with the server's quick recovery alone: files come and go, and harm no old one. */
static void go_on(const struct Epoch *e, uint32_t n)
{
    char path[40];
    uint32_t inum;

    CHECK(fs_mount(&fs, &ld.disk, CACHE_BLOCKS) == 0);
    CHECK(fs.super.clean || fs_recover(&fs) >= 0);
    compare(e, n);
    for (uint32_t f = 0; f < ntracked; f++)
        if (n > e->file[f].touched && below(2)) {
            int r = fs_remove(&fs, e->file[f].path);
            CHECK(r == 0 || r == -E_NOT_FOUND);
        }
    for (int i = 0; i < 8; i++) {
        snprintf(path, sizeof(path), "/dir/new%d", i);
        int r = fs_create(&fs, path, FS_FILE, &inum);
        CHECK(r == 0 || r == -E_NO_DISK);
        if (r == 0)
            fs_write(&fs, inum, path, sizeof(path), 0);
    }
    CHECK(fs_sync(&fs) == 0);
    compare(e, n);
    fs_unmount(&fs);
}

static enum CheckResult fsck(bool repair)
{
    static struct Fs check;
    bool mounted;
    enum CheckResult r = fs_check(&check, &ld.disk, repair, &mounted);

    if (mounted)
        fs_unmount(&check);
    return r;
}

/* Returns whether fsck had anything to repair. */
static bool after_failure(const struct Epoch *e, uint32_t n, bool first_go_on)
{
    if (first_go_on)
        go_on(e, n);
    enum CheckResult r = fsck(true);
    CHECK(r == CHECK_CLEAN || r == CHECK_REPAIRED);
    CHECK(fsck(false) == CHECK_CLEAN);
    CHECK(fs_mount(&fs, &ld.disk, CACHE_BLOCKS) == 0);
    compare(e, n);
    fs_unmount(&fs);
    return r == CHECK_REPAIRED;
}

static void test_workload(const struct Workload *w, bool full)
{
    uint32_t e = 0, cuts = 0, disks = 0, repaired = 0;

    prepare(w);
    w->run();
    CHECK(fs_sync(&fs) == 0);
    fs_unmount(&fs);
    ld.logging = false;
    uint32_t step = full ? 1 : ld.nlog / QUICK_CUTS + 1;
    for (uint32_t n = full ? 0 : below(step); n <= ld.nlog; n += step, cuts++) {
        while (e + 1 < nepochs && epochs[e + 1].begin <= n)
            e++;
        for (int v = 0; v < VARIANTS; v++, disks++) {
            bool torn = v % 2;
            cut_at(n, torn, v > 1);
            repaired += after_failure(&epochs[e], n + torn, (cuts + v / 2) % 2);
        }
    }
    printf("hosttest: cuts: %s: %u writes, %u syncs, %u cuts, %u disks, %u needed repair: ok\n",
           w->name, ld.nlog, nepochs, cuts, disks, repaired);
    log_end();
}

void test_cuts(bool full)
{
    quiet = true;
    for (size_t i = 0; i < ARRAY_SIZE(workloads); i++)
        test_workload(&workloads[i], full);
    quiet = false;
}
