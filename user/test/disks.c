/*
 * Disks of a guest that its monitor asks for (FSREQ_DISK_*): the guest here is never run. Data
 * comes back sector by sector, what lies outside is refused, a read-only disk stays as it is, and
 * nobody but the monitor and its children gets at a disk.
 *
 *     test-disks             all of that
 *     test-disks make N ...  make empty images of N sectors, for other tests
 */
#include "test.h"

#define DIR     "/tmp/test-disks"
#define SECTORS 4093 /* 4 KiB blocks do not come out even */
#define PER     (BLKSIZE / DISK_SECTOR)

#define PAGES PERM_PAGES_MAX

static char page[PAGES * PGSIZE] __attribute__((aligned(PGSIZE)));
static char model[SECTORS * DISK_SECTOR];

static void make_image(const char *path, uint64_t size)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC);
    CHECK(fd >= 0, "%s: %e", path, fd);
    CHECK_IS(ftruncate(fd, size), 0);
    close(fd);
}

static envid_t make_guest(void)
{
    char why[200] = "";
    envid_t guest = sys_env_mkguest(GUEST_MEM_MIN, 0, 0, why, sizeof(why));
    CHECK(guest > 0, "no guest: %e: %s", guest, why);
    return guest;
}

static void end_guest(envid_t guest)
{
    sys_env_destroy(guest);
    CHECK_IS(sys_env_wait(guest, NULL, false), guest);
}

static int attach(envid_t guest, const char *path, const char *base, uint32_t use)
{
    struct GuestAttach a = { .path = path, .base = base, .guest = guest, .use = use };
    return guest_attach(&a);
}

static int ask(int req, int handle, int hint, uint64_t sector, uint32_t n)
{
    uint32_t pages = req <= FSREQ_DISK_WRITE ? (n + PER - 1) / PER : 1;
    return guest_disk_ask(FSREQ_DISK_VALUE(req, handle, hint, sector, n), page,
                          MIN(MAX(pages, 1u), (uint32_t)PAGES));
}

/* Move n sectors; first without waiting for the disk, and what is left, as a whole. */
static void move(int req, int handle, uint64_t sector, uint32_t n)
{
    int r = ask(req, handle, DISK_QUICK, sector, n);
    CHECK(r == -E_AGAIN || (r > 0 && r <= (int)n), "request %d for %u sectors: %d", req, n, r);
    if (r != (int)n)
        CHECK_IS(ask(req, handle, 0, sector, n), n);
}

static uint32_t random(void)
{
    static uint64_t x = 88172645463325252ul;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return x;
}

static void random_write(int handle, uint32_t sector, uint32_t n)
{
    for (uint32_t i = 0; i < n * DISK_SECTOR; i++)
        page[i] = random();
    move(FSREQ_DISK_WRITE, handle, sector, n);
    memcpy(model + sector * DISK_SECTOR, page, n * DISK_SECTOR);
}

static void compare(int handle)
{
    for (uint32_t at = 0, n; at < SECTORS; at += n) {
        n = MIN(SECTORS - at, 1 + random() % (PAGES * PER));
        move(FSREQ_DISK_READ, handle, at, n);
        CHECK(memcmp(page, model + at * DISK_SECTOR, n * DISK_SECTOR) == 0, "wrong data at %u", at);
    }
}

static void zero(int handle, uint32_t sector, uint32_t n, int hint)
{
    CHECK_IS(ask(FSREQ_DISK_ZERO, handle, hint, sector, n), 0);
    memset(model + sector * DISK_SECTOR, 0, n * DISK_SECTOR);
}

static void exercise(int handle)
{
    for (int i = 0; i < 2000; i++) {
        uint32_t n = 1 + random() % (i % 10 ? PER : PAGES * PER), at = random() % (SECTORS - n + 1);
        random_write(handle, at, n);
        if (i % 50 == 0)
            zero(handle, at, MIN(SECTORS - at, random() % 100), i % 100 == 0 ? DISK_UNMAP : 0);
    }
    random_write(handle, SECTORS - 1, 1);
    compare(handle);
    CHECK_IS(ask(FSREQ_DISK_FLUSH, handle, 0, 0, 0), 0);
    compare(handle);
}

static void data(void)
{
    make_image(DIR "/data", sizeof(model));
    envid_t guest = make_guest();
    int handle = attach(guest, DIR "/data", NULL, GUEST_DISK_MONITOR);
    CHECK(handle >= 0, "attach: %e", handle);
    memset(model, 0, sizeof(model));
    compare(handle);
    exercise(handle);
    end_guest(guest);

    int fd = open(DIR "/data", O_RDONLY);
    struct Stat st;
    CHECK_IS(fstat(fd, &st), 0);
    CHECK_IS(st.st_size, sizeof(model));
    for (size_t at = 0, n; at < sizeof(model); at += n) {
        n = MIN(sizeof(page), sizeof(model) - at);
        CHECK_IS(readn(fd, page, n), n);
        CHECK(memcmp(page, model + at, n) == 0, "the file has wrong data at %zu", at);
    }
    close(fd);
}

/* What the own image lacks is the base's, sector by sector. */
static void over_base(void)
{
    int fd = open(DIR "/base", O_WRONLY | O_CREAT | O_TRUNC);
    for (size_t i = 0; i < sizeof(model); i++)
        model[i] = random();
    CHECK_IS(writen(fd, model, sizeof(model)), 0);
    close(fd);
    envid_t guest = make_guest();
    int handle = attach(guest, DIR "/own", DIR "/base", GUEST_DISK_MONITOR);
    CHECK(handle >= 0, "attach: %e", handle);
    compare(handle);
    exercise(handle);
    end_guest(guest);
    remove(DIR "/own");
    remove(DIR "/base");
}

static void refused(int handle, int req, uint64_t sector, uint32_t n)
{
    int r = ask(req, handle, 0, sector, n);
    CHECK(r == -E_INVAL, "request %d for %u sectors at %lu: %d", req, n, sector, r);
}

static void bounds(void)
{
    envid_t guest = make_guest();
    int handle = attach(guest, DIR "/data", NULL, GUEST_DISK_MONITOR);
    for (int req = FSREQ_DISK_READ; req <= FSREQ_DISK_ZERO; req++) {
        if (req == FSREQ_DISK_FLUSH)
            continue;
        refused(handle, req, SECTORS, 1);
        refused(handle, req, SECTORS - 1, 2);
        refused(handle, req, FSREQ_DISK_END - 1, 1);
        refused(handle, req, FSREQ_DISK_END - 1, DISK_SECTORS_MAX);
    }
    refused(handle, FSREQ_DISK_READ, 0, PAGES * PER + 1);
    refused(handle, FSREQ_DISK_WRITE, 0, PAGES * PER + 1);
    refused(handle, FSREQ_DISK_ZERO, 0, DISK_SECTORS_MAX + 1);
    for (int other = 0; other < 64; other++)
        if (other != handle)
            CHECK_IS(ask(FSREQ_DISK_READ, other, 0, 0, 1), -E_NOT_FOUND);
    end_guest(guest);
    CHECK(ask(FSREQ_DISK_WRITE, handle, 0, SECTORS, 1) < 0, "a guest that is gone has a disk");
}

static void read_only(void)
{
    envid_t guest = make_guest(), other = make_guest();
    int handle = attach(guest, DIR "/data", NULL, GUEST_DISK_MONITOR | GUEST_DISK_READ_ONLY);
    int second = attach(other, DIR "/data", NULL, GUEST_DISK_MONITOR | GUEST_DISK_READ_ONLY);
    CHECK(handle >= 0 && second >= 0, "attach: %d, %d", handle, second);
    CHECK_IS(attach(other, DIR "/data", NULL, GUEST_DISK_MONITOR), -E_BUSY);
    CHECK_IS(open(DIR "/data", O_RDWR), -E_BUSY);
    CHECK_IS(ask(FSREQ_DISK_READ, handle, 0, 0, PER), PER);
    CHECK_IS(ask(FSREQ_DISK_READ, second, 0, 0, PER), PER);
    CHECK_IS(ask(FSREQ_DISK_WRITE, handle, 0, 0, 1), -E_PERM);
    CHECK_IS(ask(FSREQ_DISK_ZERO, handle, 0, 0, 1), -E_PERM);
    CHECK_IS(ask(FSREQ_DISK_DISCARD, handle, 0, 0, PER), -E_PERM);
    end_guest(guest);
    end_guest(other);
}

static void sizes(void)
{
    envid_t guest = make_guest();
    make_image(DIR "/odd", 1000);
    CHECK_IS(attach(guest, DIR "/odd", NULL, GUEST_DISK_MONITOR), -E_INVAL);
    make_image(DIR "/odd", 0);
    CHECK_IS(attach(guest, DIR "/odd", NULL, GUEST_DISK_MONITOR), -E_INVAL);
    make_image(DIR "/odd", DISK_SECTOR);
    CHECK_IS(attach(guest, DIR "/odd", NULL, GUEST_DISK_CALLS), -E_INVAL);
    CHECK(attach(guest, DIR "/odd", NULL, GUEST_DISK_MONITOR) >= 0, "one sector");
    CHECK_IS(attach(guest, DIR "/odd", NULL, GUEST_DISK_MONITOR), -E_BUSY);
    CHECK_IS(attach(guest, DIR, NULL, GUEST_DISK_MONITOR), -E_IS_DIR);
    CHECK_IS(attach(guest, DIR "/data", NULL, 4), -E_INVAL);
    end_guest(guest);
    remove(DIR "/odd");
}

/* Ask in a child, or in a child's child. */
static int ask_below(int depth, int handle)
{
    envid_t child = fork();
    int status = -1;
    if (child == 0) {
        page[0] = 0;
        exit(depth > 1 ? ask_below(depth - 1, handle)
                       : -MIN(ask(FSREQ_DISK_READ, handle, 0, 0, 1), 0));
    }
    CHECK_IS(sys_env_wait(child, &status, false), child);
    return status;
}

static void owners(void)
{
    envid_t guest = make_guest();
    int calls = attach(guest, DIR "/data", NULL, GUEST_DISK_CALLS);
    CHECK(calls >= 0, "attach: %e", calls);
    CHECK_IS(ask(FSREQ_DISK_READ, calls, 0, 0, 1), -E_NOT_FOUND);
    end_guest(guest);

    guest = make_guest();
    int handle = attach(guest, DIR "/data", NULL, GUEST_DISK_MONITOR);
    page[0] = 0;
    CHECK_IS(ask(FSREQ_DISK_READ, handle, 0, 0, 1), 1);
    CHECK_IS(ask_below(1, handle), 0);
    CHECK_IS(ask_below(2, handle), E_NOT_FOUND);
    end_guest(guest);
}

/* Discarded blocks give their space back. */
static void discard(void)
{
    envid_t guest = make_guest();
    struct GuestDiskInfo before, after;
    int handle = attach(guest, DIR "/data", NULL, GUEST_DISK_MONITOR);
    page[0] = 0;
    for (uint32_t at = 0; at + PER <= SECTORS; at += PER)
        random_write(handle, at, PER);
    CHECK_IS(guest_disk(guest, 0, &before), 0);
    CHECK_IS(ask(FSREQ_DISK_DISCARD, handle, 0, 1, SECTORS - 1), 0);
    CHECK_IS(guest_disk(guest, 0, &after), 0);
    CHECK(after.used < before.used - SECTORS / PER / 2, "%u blocks, then %u", before.used,
          after.used);
    CHECK_IS(ask(FSREQ_DISK_READ, handle, 0, 0, 1), 1);
    CHECK(memcmp(page, model, DISK_SECTOR) == 0, "the first sector is gone, too");
    CHECK_IS(guest_disk(guest, 1, &after), -E_NOT_FOUND);
    end_guest(guest);
}

int umain(int argc, char **argv)
{
    static const struct Test tests[] = {
        { "data", data },           { "over-base", over_base }, { "bounds", bounds },
        { "read-only", read_only }, { "sizes", sizes },         { "owners", owners },
        { "discard", discard },
    };
    page[0] = 0;
    test_now = "make";
    if (argc > 2 && strcmp(argv[1], "make") == 0) {
        for (int i = 3; i < argc; i++)
            make_image(argv[i], strtol(argv[2], NULL, 10) * DISK_SECTOR);
        return 0;
    }
    mkdir(DIR);
    make_image(DIR "/data", sizeof(model));
    int r = run_tests(tests, ARRAY_SIZE(tests), argc, argv);
    remove(DIR "/data");
    remove(DIR);
    return r;
}
