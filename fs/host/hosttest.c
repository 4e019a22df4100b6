/*
 * Stress test of the file system's core on the build machine: random operations against a model,
 * power failures after any number of writes, and images with flipped bits. Everything follows from
 * the seed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <fs/core/dir.h>
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
#include <fs/host/readtest.h>
#include <fs/host/thintest.h>
#include <fs/host/waittest.h>
#include <inc/error.h>

#define CACHE_BLOCKS 64 /* small, so that blocks are evicted all the time */
#define NFILES       24
#define NDIRS        5
#define MAX_WRITE    20000
#define FLIPS_QUICK  1200 /* damaged images */
#define FLIPS_FULL   20000
#define HANG_SECONDS 60 /* for one image */
/* Offsets reach the blocks behind the single and the double indirect tables. */
#define MAX_OFFSET ((FS_NDIRECT + FS_NINDIRECT + 64) * BLKSIZE)

unsigned long seed = 1;
static uint64_t rng_state;
static struct Fs fs;
static struct HostDisk hd;
static FILE *image;
static unsigned long nops;

/* What should be on the disk. */
struct ModelFile {
    char path[MAXPATHLEN];
    bool exists;
    uint8_t *data;
    size_t size;
};
static struct ModelFile files[NFILES];
static struct ModelDir {
    char path[MAXPATHLEN];
    bool exists;
    int parent; /* -1: the root */
} dirs[NDIRS] = {
    { "/a", false, -1 },    { "/b", false, -1 }, { "/a/c", false, 0 },
    { "/a/c/d", false, 2 }, { "/e", false, -1 },
};

uint64_t rng(void)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return rng_state * 0x2545f4914f6cdd1dul >> 16;
}

uint64_t below(uint64_t n)
{
    return rng() % n;
}

/* ---- The disk under test ---- */

/* An empty disk of nblocks, formatted and mounted. */
static void fresh_disk(uint32_t nblocks)
{
    CHECK(ftruncate(fileno(image), 0) == 0 &&
          ftruncate(fileno(image), (off_t)nblocks * BLKSIZE) == 0);
    hostdisk_init(&hd, "test disk", fileno(image), nblocks);
    CHECK(fs_format(&fs, &hd.disk, CACHE_BLOCKS) == 0);
}

static void remount(void)
{
    CHECK(fs_sync(&fs) == 0);
    fs_unmount(&fs);
    CHECK(fs_mount(&fs, &hd.disk, CACHE_BLOCKS) == 0);
    CHECK(fs.super.clean == 1);
}

static enum CheckResult fsck(bool repair)
{
    static struct Fs check;
    bool mounted;
    enum CheckResult r = fs_check(&check, &hd.disk, repair, &mounted);

    if (mounted)
        fs_unmount(&check);
    return r;
}

/* ---- The model ---- */

static int parent_dir(const char *path)
{
    const char *slash = strrchr(path, '/');

    for (int i = 0; i < NDIRS; i++)
        if (strlen(dirs[i].path) == (size_t)(slash - path) &&
            strncmp(dirs[i].path, path, slash - path) == 0)
            return i;
    return -1;
}

static bool parent_exists(const char *path)
{
    int d = parent_dir(path);
    return d < 0 || dirs[d].exists;
}

/* Forget all files; their names go to random directories. One has the longest name possible. */
static void model_reset(void)
{
    for (int i = 0; i < NFILES; i++) {
        free(files[i].data);
        const char *dir = below(3) ? dirs[below(NDIRS)].path : "";
        files[i] = (struct ModelFile){ .exists = false };
        snprintf(files[i].path, MAXPATHLEN, "%s/%c%d", dir, 'f', i);
        if (i == 0)
            snprintf(files[i].path, MAXPATHLEN, "%s/%0*d", dir, MAXNAMELEN - 1, i);
    }
    for (int i = 0; i < NDIRS; i++)
        dirs[i].exists = false;
}

static void model_resize(struct ModelFile *f, size_t size)
{
    f->data = realloc(f->data, size + 1);
    CHECK(f->data);
    if (size > f->size)
        memset(f->data + f->size, 0, size - f->size);
    f->size = size;
}

/* ---- Random operations. Each does the same to disk and model and compares the results. ---- */

static void op_create(struct ModelFile *f)
{
    uint32_t inum;
    int r = fs_create(&fs, f->path, FS_FILE, &inum);

    if (f->exists) {
        CHECK(r == -E_FILE_EXISTS);
    } else if (!parent_exists(f->path)) {
        CHECK(r == -E_NOT_FOUND);
    } else {
        CHECK(r == 0 || r == -E_NO_DISK);
        f->exists = r == 0;
        f->size = 0;
    }
}

/* Somewhere in a file, now and then very far from its beginning. */
static uint64_t far_offset(void)
{
    return below(15) ? below(FS_NDIRECT * 2 * BLKSIZE) : below(MAX_OFFSET);
}

static void op_write(struct ModelFile *f)
{
    static uint8_t buf[MAX_WRITE];
    uint64_t off = below(4) ? below(f->size + 1) : far_offset();
    size_t n = 1 + below(below(3) ? 3 * BLKSIZE : MAX_WRITE);
    uint32_t inum;

    if (below(2)) {
        off = off / BLKSIZE * BLKSIZE;
        n = (n + BLKSIZE - 1) / BLKSIZE * BLKSIZE;
    }
    n = MIN(n, sizeof(buf));
    for (size_t i = 0; i < n; i++)
        buf[i] = rng();
    if (fs_lookup(&fs, f->path, &inum) < 0)
        return;
    ssize_t r = fs_write(&fs, inum, buf, n, off);
    CHECK(r > 0 || r == -E_NO_DISK);
    if (r < 0)
        return;
    if (off + r > f->size)
        model_resize(f, off + r);
    memcpy(f->data + off, buf, r);
}

static void op_read(struct ModelFile *f)
{
    static uint8_t buf[FSREAD_MAX] __attribute__((aligned(BLKSIZE)));
    uint64_t off = below(f->size + 100);
    size_t n = below(sizeof(buf) + 1);
    uint32_t inum;

    if (below(2)) /* as clients read that want much */
        off = off / BLKSIZE * BLKSIZE;
    size_t want = off < f->size ? MIN(n, f->size - off) : 0;
    if (fs_lookup(&fs, f->path, &inum) < 0)
        return;
    CHECK(fs_read(&fs, inum, buf, n, off) == (ssize_t)want);
    CHECK(want == 0 || memcmp(buf, f->data + off, want) == 0);
}

static void op_truncate(struct ModelFile *f)
{
    size_t size = below(3) ? below(f->size + 1) : below(2) ? 0 : far_offset();
    uint32_t inum;

    if (fs_lookup(&fs, f->path, &inum) < 0)
        return;
    CHECK(fs_truncate(&fs, inum, size) == 0);
    model_resize(f, size);
}

/* Give blocks back in the middle of a file. */
static void op_punch(struct ModelFile *f)
{
    uint64_t fb = below(f->size / BLKSIZE + 3), n = 1 + below(20);
    size_t from = MIN(fb * BLKSIZE, f->size), to = MIN((fb + n) * BLKSIZE, f->size);
    uint32_t inum;

    if (fs_lookup(&fs, f->path, &inum) < 0)
        return;
    CHECK(fs_punch(&fs, inum, fb, n) == 0);
    if (from < to)
        memset(f->data + from, 0, to - from);
    CHECK(fs_missing(&fs, inum, fb) > 0);
}

static void op_remove(struct ModelFile *f)
{
    int r = fs_remove(&fs, f->path);

    CHECK(r == (f->exists ? 0 : -E_NOT_FOUND));
    f->exists = false;
    f->size = 0;
}

static uint32_t held; /* the inode that is open */

static bool is_held(uint32_t inum)
{
    return inum == held;
}

/* Remove a file while it is in use: it stays readable until it is released. */
static void op_remove_held(struct ModelFile *f)
{
    uint32_t inum;

    if (fs_lookup(&fs, f->path, &inum) < 0)
        return;
    fs.in_use = is_held;
    held = inum;
    CHECK(fs_remove(&fs, f->path) == 0);
    CHECK(fs_lookup(&fs, f->path, &inum) == -E_NOT_FOUND);
    if (f->size) {
        uint8_t last;
        CHECK(fs_read(&fs, held, &last, 1, f->size - 1) == 1 && last == f->data[f->size - 1]);
    }
    CHECK(fs_release(&fs, held) == 0);
    fs.in_use = NULL;
    f->exists = false;
    f->size = 0;
}

static bool dir_empty(int d)
{
    for (int i = 0; i < NFILES; i++)
        if (files[i].exists && parent_dir(files[i].path) == d)
            return false;
    for (int i = 0; i < NDIRS; i++)
        if (dirs[i].exists && dirs[i].parent == d)
            return false;
    return true;
}

static void op_mkdir(int d)
{
    uint32_t inum;
    int r = fs_create(&fs, dirs[d].path, FS_DIR, &inum);

    if (dirs[d].exists) {
        CHECK(r == -E_FILE_EXISTS);
    } else if (dirs[d].parent >= 0 && !dirs[dirs[d].parent].exists) {
        CHECK(r == -E_NOT_FOUND);
    } else {
        CHECK(r == 0 || r == -E_NO_DISK);
        dirs[d].exists = r == 0;
    }
}

static void op_rmdir(int d)
{
    int r = fs_remove(&fs, dirs[d].path);

    if (!dirs[d].exists) {
        CHECK(r == -E_NOT_FOUND);
    } else if (!dir_empty(d)) {
        CHECK(r == -E_NOT_EMPTY);
    } else {
        CHECK(r == 0);
        dirs[d].exists = false;
    }
}

static void random_op(void)
{
    static void (*const ops[])(struct ModelFile *) = {
        op_create, op_create, op_write,    op_write,  op_write,       op_write,
        op_read,   op_read,   op_truncate, op_remove, op_remove_held, op_punch,
    };

    nops++;
    if (below(20) == 0)
        op_mkdir(below(NDIRS));
    else if (below(60) == 0)
        op_rmdir(below(NDIRS));
    else
        ops[below(ARRAY_SIZE(ops))](&files[below(NFILES)]);
}

/* Compare a whole file with the model. */
static void compare(const struct ModelFile *f)
{
    uint32_t inum;
    struct FsStat st;
    int r = fs_lookup(&fs, f->path, &inum);

    CHECK(r == (f->exists ? 0 : -E_NOT_FOUND));
    if (!f->exists)
        return;
    CHECK(fs_stat(&fs, inum, &st) == 0 && st.size == f->size && st.type == FTYPE_REG);
    uint8_t *buf = malloc(f->size + 1);
    CHECK(buf && fs_read(&fs, inum, buf, f->size + 1, 0) == (ssize_t)f->size);
    CHECK(f->size == 0 || memcmp(buf, f->data, f->size) == 0);
    free(buf);
}

static void compare_all(void)
{
    for (int i = 0; i < NFILES; i++)
        compare(&files[i]);
}

/* ---- Test 1: the disk does what the model does, and nothing leaks ---- */

static void remove_all(void)
{
    for (int i = 0; i < NFILES; i++)
        if (files[i].exists)
            op_remove(&files[i]);
    for (int i = NDIRS - 1; i >= 0; i--)
        if (dirs[i].exists)
            op_rmdir(i);
}

static void test_model(uint32_t nblocks, int batches, int ops)
{
    unsigned long first = nops;

    fresh_disk(nblocks);
    model_reset();
    uint32_t free_blocks = fs_free_blocks(&fs);
    for (int b = 0; b < batches; b++) {
        for (int i = 0; i < ops; i++)
            random_op();
        compare_all();
        if (below(2))
            remount();
        CHECK(fs_sync(&fs) == 0);
        CHECK(fsck(false) == CHECK_CLEAN);
        compare_all();
    }
    remove_all();
    CHECK(fs_sync(&fs) == 0 && fs_free_blocks(&fs) == free_blocks && fs.npending == 0);
    CHECK(fsck(false) == CHECK_CLEAN);
    fs_unmount(&fs);
    printf("hosttest: model: %lu operations on a disk of %u blocks, %d checks: ok\n", nops - first,
           nblocks, batches + 1);
}

/* Forget all files, then make all directories and files on the empty disk. */
static void model_create(void)
{
    model_reset();
    for (int i = 0; i < NDIRS; i++)
        op_mkdir(i);
    for (int i = 0; i < NFILES; i++)
        op_create(&files[i]);
}

/* ---- Test 2: the power fails after the n-th write ---- */

#define NKEEP 6

/* Files that are synced before the trouble starts and not touched afterwards. */
static void make_keepers(struct ModelFile *keep)
{
    for (int i = 0; i < NKEEP; i++) {
        keep[i] = (struct ModelFile){ .exists = false };
        snprintf(keep[i].path, MAXPATHLEN, "/keep%d", i);
        op_create(&keep[i]);
        for (int k = 0; k < 3; k++)
            op_write(&keep[i]);
    }
    CHECK(fs_sync(&fs) == 0);
}

static void compare_keepers(struct ModelFile *keep)
{
    for (int i = 0; i < NKEEP; i++)
        compare(&keep[i]);
}

/* After the power came back: with the server's quick recovery alone, new writes damage nothing old;
 * then repair, and check. */
static bool after_failure(struct ModelFile *keep, bool write_first)
{
    hd.writes_left = -1;
    if (write_first) {
        CHECK(fs_mount(&fs, &hd.disk, CACHE_BLOCKS) == 0);
        CHECK(fs.super.clean || fs_recover(&fs) >= 0);
        for (int i = 0; i < 20; i++) {
            struct ModelFile f = { .exists = false };
            snprintf(f.path, MAXPATHLEN, "/new%d", i);
            op_create(&f);
            op_write(&f);
            free(f.data);
        }
        CHECK(fs_sync(&fs) == 0);
        compare_keepers(keep);
        fs_unmount(&fs);
    }
    quiet = true;
    enum CheckResult r = fsck(true);
    CHECK(r == CHECK_CLEAN || r == CHECK_REPAIRED);
    quiet = false;
    CHECK(fsck(false) == CHECK_CLEAN);
    CHECK(fs_mount(&fs, &hd.disk, CACHE_BLOCKS) == 0);
    compare_keepers(keep);
    fs_unmount(&fs);
    return r == CHECK_REPAIRED;
}

static void test_power(int rounds)
{
    struct ModelFile keep[NKEEP];
    int repaired = 0, failures = 0;

    for (int n = 0; n < rounds; n++) {
        fresh_disk(1500);
        model_create();
        make_keepers(keep);
        hd.writes_left = n;
        for (int i = 0; i < 200 && hd.writes_left; i++) {
            random_op();
            if (below(40) == 0)
                CHECK(fs_sync(&fs) == 0);
        }
        failures += hd.writes_left == 0;
        fs_unmount(&fs);
        repaired += after_failure(keep, n % 2);
        for (int i = 0; i < NKEEP; i++)
            free(keep[i].data);
    }
    printf("hosttest: power: %d failures, %d images needed repair, none lost synced files: ok\n",
           failures, repaired);
}

/* ---- Test 3: flipped bits ---- */

/* Use everything on the disk; errors are fine, crashes are not. */
static void use_everything(void)
{
    static uint8_t buf[BLKSIZE];
    uint32_t inum;

    for (int i = 0; i < NDIRS; i++)
        fs_create(&fs, dirs[i].path, FS_DIR, &inum);
    for (int i = 0; i < NFILES; i++) {
        if (fs_lookup(&fs, files[i].path, &inum) < 0 &&
            fs_create(&fs, files[i].path, FS_FILE, &inum) < 0)
            continue;
        fs_read(&fs, inum, buf, sizeof(buf), below(MAX_OFFSET));
        fs_write(&fs, inum, buf, sizeof(buf), below(MAX_OFFSET));
        if (below(2))
            fs_truncate(&fs, inum, below(MAX_OFFSET));
        if (below(2))
            fs_remove(&fs, files[i].path);
    }
    fs_remove(&fs, dirs[below(NDIRS)].path);
    fs_sync(&fs);
}

/* Recovery has failed: changes are refused in words, and whatever is tried, nothing is written. */
static void use_read_only(void)
{
    const int64_t many = 1 << 20;
    uint32_t inum;

    CHECK(fs_write(&fs, FS_ROOT, "x", 1, 0) == -E_READ_ONLY);
    CHECK(fs_truncate(&fs, FS_ROOT, 0) == -E_READ_ONLY);
    CHECK(fs_create(&fs, "/not there yet", FS_FILE, &inum) < 0);
    hd.writes_left = many;
    use_everything();
    CHECK(fs_sync(&fs) == 0 && hd.writes_left == many);
    hd.writes_left = -1;
}

#define MAX_META 400
static uint32_t meta[MAX_META], nmeta; /* blocks of directories, and tables of block pointers */

static void note_meta(uint32_t block)
{
    if (block && nmeta < MAX_META)
        meta[nmeta++] = block;
}

static void find_meta(const struct FsSuper *s, const uint8_t *disk)
{
    const struct FsInode *ip = (const void *)(disk + (size_t)s->inode_start * BLKSIZE);

    nmeta = 0;
    for (uint32_t i = FS_ROOT; i < s->ninodes; i++) {
        for (int b = 0; ip[i].i_type == FS_DIR && b < FS_NDIRECT; b++)
            note_meta(ip[i].i_direct[b]);
        note_meta(ip[i].i_indirect);
        note_meta(ip[i].i_dindirect);
        const uint32_t *table = (const void *)(disk + (size_t)ip[i].i_dindirect * BLKSIZE);
        for (uint32_t t = 0; ip[i].i_dindirect && t < FS_NINDIRECT; t++)
            note_meta(table[t]);
    }
    CHECK(nmeta > 0);
}

/* Flip one to three bits: in the inodes that are in use, in directories and tables of block
 * pointers, anywhere in the tables, in the superblock, or anywhere at all. */
static void flip_bits(const struct FsSuper *s, uint8_t *disk)
{
    const struct {
        uint64_t start, size;
    } areas[] = {
        { (uint64_t)s->inode_start * BLKSIZE, 2 * NFILES * sizeof(struct FsInode) },
        { (uint64_t)s->inode_start * BLKSIZE, 2 * NFILES * sizeof(struct FsInode) },
        { 0, (uint64_t)s->data_start * BLKSIZE },
        { (uint64_t)meta[below(nmeta)] * BLKSIZE, below(2) ? 256 : BLKSIZE },
        { (uint64_t)meta[below(nmeta)] * BLKSIZE, below(2) ? 256 : BLKSIZE },
        { 0, (uint64_t)s->nblocks * BLKSIZE },
    };
    for (uint64_t i = 0, n = 1 + below(3); i < n; i++) {
        uint64_t a = below(ARRAY_SIZE(areas));
        disk[areas[a].start + below(areas[a].size)] ^= 1 << below(8);
    }
    if (below(16) == 0)
        disk[below(sizeof(struct FsSuper))] ^= 1 << below(8);
}

static void test_flips(int rounds)
{
    const uint32_t nblocks = 1200;
    const size_t size = (size_t)nblocks * BLKSIZE;
    uint8_t *good = malloc(size), *bad = malloc(size);
    int repaired = 0, refused = 0, read_only = 0;

    fresh_disk(nblocks);
    model_create();
    for (int i = 0; i < 200; i++)
        random_op();
    CHECK(fs_sync(&fs) == 0);
    struct FsSuper super = fs.super;
    fs_unmount(&fs);
    CHECK(good && bad && pread(fileno(image), good, size, 0) == (ssize_t)size);
    find_meta(&super, good);
    quiet = true;
    for (int n = 0; n < rounds; n++) {
        alarm(HANG_SECONDS);
        memcpy(bad, good, size);
        flip_bits(&super, bad);
        CHECK(pwrite(fileno(image), bad, size, 0) == (ssize_t)size);
        if (n % 2 == 0) {
            memset(&fs, 0, sizeof(fs));
            if (fs_mount(&fs, &hd.disk, CACHE_BLOCKS) == 0) {
                if (below(2))
                    fs_recover(&fs);
                read_only += fs.read_only;
                if (fs.read_only)
                    use_read_only();
                else
                    use_everything();
            }
            fs_unmount(&fs);
        }
        enum CheckResult r = fsck(true);
        repaired += r == CHECK_REPAIRED;
        refused += r == CHECK_PROBLEMS;
        CHECK(r == CHECK_PROBLEMS || fsck(false) == CHECK_CLEAN);
    }
    alarm(0);
    quiet = false;
    free(good);
    free(bad);
    CHECK(read_only > 0);
    printf("hosttest: flips: %d damaged images, %d read-only when recovered, %d repaired, "
           "%d refused (superblock): ok\n",
           rounds, read_only, repaired, refused);
}

/* ---- Test 4: paths ---- */

static void test_paths(void)
{
    static const struct {
        const char *path;
        int result;
    } cases[] = {
        { "/", 0 },
        { "", -E_BAD_PATH },
        { "//", 0 },
        { "/d", 0 },
        { "d/f", 0 },
        { "/d//f", 0 },
        { "/d/./f", 0 },
        { "/d/../d/f", 0 },
        { "/../../d", 0 },
        { "/d/f/", -E_NOT_DIR },
        { "/d/f/x", -E_NOT_DIR },
        { "/x/y", -E_NOT_FOUND },
        { "/d/", 0 },
        { "/d/f/..", -E_NOT_DIR },
        { "/x", -E_NOT_FOUND },
    };
    char longname[MAXNAMELEN + 2] = "/";
    uint32_t inum;

    fresh_disk(64);
    CHECK(fs_create(&fs, "/d", FS_DIR, &inum) == 0 && fs_create(&fs, "/d/f", FS_FILE, &inum) == 0);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (fs_lookup(&fs, cases[i].path, &inum) != cases[i].result)
            die("path \"%s\" gives the wrong result", cases[i].path);
    memset(longname + 1, 'n', MAXNAMELEN);
    CHECK(fs_create(&fs, longname, FS_FILE, &inum) == -E_BAD_PATH);
    CHECK(fs_create(&fs, "/d/new/", FS_FILE, &inum) == -E_NOT_DIR);
    CHECK(fs_create(&fs, "/d/new/", FS_DIR, &inum) == 0);
    CHECK(fs_remove(&fs, "/") == -E_BUSY && fs_remove(&fs, "/d/new/.") == -E_BAD_PATH);
    CHECK(fs_remove(&fs, "/d") == -E_NOT_EMPTY);
    fs_unmount(&fs);
    printf("hosttest: paths: %zu cases: ok\n", ARRAY_SIZE(cases));
}

/* ---- Large directories ---- */

#define BIG_DIRS  4
#define BIG_FILES 700

/* Every name of the directory is found exactly if it exists. */
static void check_big(int d, const bool *exists)
{
    char path[MAXPATHLEN];
    uint32_t inum;

    for (int i = 0; i < BIG_FILES; i++) {
        snprintf(path, sizeof(path), "/big%d/file%d", d, i);
        CHECK(fs_lookup(&fs, path, &inum) == (exists[i] ? 0 : -E_NOT_FOUND));
    }
}

/* Files come and go in directories that are in the index, are thrown out of it, and come back. */
static void test_index(uint32_t limit, int rounds)
{
    static bool exists[BIG_DIRS][BIG_FILES];
    char path[MAXPATHLEN];
    uint32_t inum;

    fresh_disk(4000 + BIG_DIRS * BIG_FILES * 4);
    fs.index.limit = limit;
    memset(exists, 0, sizeof(exists));
    for (int d = 0; d < BIG_DIRS; d++) {
        snprintf(path, sizeof(path), "/big%d", d);
        CHECK(fs_create(&fs, path, FS_DIR, &inum) == 0);
    }
    for (int i = 0; i < rounds; i++) {
        int d = below(BIG_DIRS), f = below(BIG_FILES);
        snprintf(path, sizeof(path), "/big%d/file%d", d, f);
        if (exists[d][f] && below(2))
            CHECK(fs_remove(&fs, path) == 0);
        else if (!exists[d][f])
            CHECK(fs_create(&fs, path, FS_FILE, &inum) == 0);
        else
            continue;
        exists[d][f] = !exists[d][f];
    }
    for (int d = 0; d < BIG_DIRS; d++)
        check_big(d, exists[d]);
    remount();
    for (int d = 0; d < BIG_DIRS; d++)
        check_big(d, exists[d]);
    for (int d = 0; d < BIG_DIRS; d++) /* remove all, and the directory, and use its inode again */
        for (int f = 0; f < BIG_FILES; f++) {
            snprintf(path, sizeof(path), "/big%d/file%d", d, f);
            CHECK(fs_remove(&fs, path) == (exists[d][f] ? 0 : -E_NOT_FOUND));
        }
    CHECK(fs_remove(&fs, "/big0") == 0 && fs_sync(&fs) == 0 && fsck(false) == CHECK_CLEAN);
    fs_unmount(&fs);
    printf("hosttest: index: %d changes in %d directories, %u nodes: ok\n", rounds, BIG_DIRS,
           limit);
}

int main(int argc, char **argv)
{
    bool full = false;
    int c;

    tool = "hosttest";
    while ((c = getopt(argc, argv, "fs:")) != -1) {
        if (c == 'f')
            full = true;
        else if (c == 's')
            seed = strtoul(optarg, NULL, 0);
        else
            die("usage: hosttest [-f] [-s SEED]; -f: the full form");
    }
    rng_state = seed * 0x9e3779b97f4a7c15ul | 1;
    image = tmpfile();
    CHECK(image);
    test_paths();
    test_index(0, 6000);
    test_index(900, 4000); /* one directory fits, or two small ones */
    test_model(6000, 20, 500);
    test_model(200, 30, 400); /* full nearly all the time */
    test_power(240);
    test_thin(full);
    test_waiting();
    test_long_reads();
    test_cuts(full);
    test_flips(full ? FLIPS_FULL : FLIPS_QUICK);
    model_reset();
    fclose(image);
    return 0;
}
