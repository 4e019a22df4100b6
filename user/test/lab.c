/*
 * test-lab: vmm's own functions that are exercises, called one by one: make_guest (1), map_in_guest
 * and copy_guest_kern_gpa (3). The kernel's part is used as it is. In gOS: its disk (7).
 *
 *     test-lab NONCE EXERCISE [write|read]
 *
 * Each property is a line, and so is their sum:
 *     test-lab NONCE 3 file-contents: ok
 *     test-lab NONCE 3 file-contents: FAIL expected 0x0 as ...; saw 0x1
 */
#include <user/vmm.h>

#define MEMSIZE   (8 * MIB)
#define ENTRY     0x100000ul
#define PLACE     0x200000ul
#define FILE_PATH "/tmp/test-lab"
#define FILE_SIZE (3 * PGSIZE + 100)
#define NOTHING   0x77 /* what guest memory has where nothing is to be written */

static const char *nonce;
static int exercise;
static unsigned holds, fails;
static uint8_t content[FILE_SIZE], seen[6 * PGSIZE];

/* Results are small and maybe negative; everything else is a word of bits. */
static void print_number(int64_t n)
{
    printf(n < 0 && n > -E_MAX ? "%ld" : "0x%lx", n);
}

static void property(const char *name, const char *what, int64_t expected, int64_t got)
{
    bool ok = expected == got;
    printf("test-lab %s %d %s: ", nonce, exercise, name);
    *(ok ? &holds : &fails) += 1;
    if (ok) {
        printf("ok\n");
        return;
    }
    printf("FAIL expected ");
    print_number(expected);
    printf(" as %s; saw ", what);
    print_number(got);
    printf("\n");
}

static void discard(envid_t guest)
{
    sys_env_destroy(guest);
    sys_env_wait(guest, NULL, false);
}

/* ---- make_guest ---- */

static struct Boot boot_of(uint64_t memsize, gpa_t entry)
{
    return (struct Boot){ .memsize = memsize, .kernel = { .fd = -1, .entry = entry } };
}

/* Nothing is copied: the kernel only judges the range. */
static int is_ram(envid_t guest, gpa_t gpa)
{
    return sys_guest_mem(guest, gpa, seen, 0, false);
}

static void made(void)
{
    struct Boot b = boot_of(MEMSIZE, ENTRY);
    envid_t guest = make_guest(&b, 0);
    property("guest-id", "whether make_guest returns an id", 1, guest > 0);
    if (guest <= 0)
        return;
    const volatile struct Env *e = &envs[ENVX(guest)];
    property("guest-type", "the type of the env of this id", ENV_TYPE_GUEST,
             e->env_id == guest ? (int)e->env_type : -1);
    property("guest-parent", "the guest's parent", thisenv->env_id, e->env_parent_id);
    property("guest-memory", "the result for the last page of its memory", 0,
             is_ram(guest, MEMSIZE - PGSIZE));
    property("guest-memory-end", "the result for the page after it", -E_INVAL,
             is_ram(guest, MEMSIZE));
    property("guest-plain", "sys_guest_debug of a guest made without GUEST_DEBUG", -E_PERM,
             sys_guest_debug(guest, GUEST_DEBUG_STOP, 0, NULL));
    discard(guest);
}

static void flags(void)
{
    struct Boot b = boot_of(MEMSIZE, ENTRY);
    envid_t guest = make_guest(&b, GUEST_DEBUG);
    if (guest <= 0)
        return;
    property("guest-flags", "whether GUEST_DEBUG arrives", 1,
             sys_guest_debug(guest, GUEST_DEBUG_STOP, 0, NULL) != -E_PERM);
    discard(guest);
}

/* The kernel refuses an entry point outside of memory. */
static void refused(void)
{
    struct Boot b = boot_of(MEMSIZE, MEMSIZE + ENTRY);
    printf("test-lab: an entry point outside of memory: ");
    envid_t guest = make_guest(&b, 0);
    printf("\n");
    property("guest-refused", "the result for an entry point outside of memory", -E_INVAL, guest);
    if (guest > 0)
        discard(guest);
}

/* ---- map_in_guest ---- */

static int make_file(void)
{
    int fd = open(FILE_PATH, O_RDWR | O_CREAT | O_TRUNC);
    for (size_t i = 0; i < FILE_SIZE; i++)
        content[i] = (i * 31 + i / 251 + nonce[i % 8]) | 1;
    if (fd >= 0 && write(fd, content, FILE_SIZE) != FILE_SIZE)
        return -E_IO;
    return fd;
}

/* How many of n bytes at gpa are not those at want (NULL: zeroes). */
static int64_t differ(envid_t guest, gpa_t gpa, const uint8_t *want, size_t n)
{
    int64_t bad = 0;
    int r = sys_guest_mem(guest, gpa, seen, n, false);
    if (r < 0)
        return r;
    for (size_t i = 0; i < n; i++)
        bad += seen[i] != (want ? want[i] : 0);
    return bad;
}

static uint64_t pages_of(envid_t guest)
{
    struct GuestStats stats = { 0 };
    sys_guest_stats(guest, &stats);
    return stats.pages;
}

static void whole_pages(envid_t guest, int fd)
{
    int r = map_in_guest(guest, PLACE, 8 * PGSIZE, fd, FILE_SIZE, 0);
    property("map-result", "the result of map_in_guest", 0, r);
    property("map-contents", "bytes that differ from the file's", 0,
             differ(guest, PLACE, content, FILE_SIZE));
    property("map-rest", "bytes that are not 0 after the file's, in its last page", 0,
             differ(guest, PLACE + FILE_SIZE, NULL, 4 * PGSIZE - FILE_SIZE));
    property("map-untouched", "pages of the guest that map_in_guest has filled", 4,
             pages_of(guest));
    property("map-owner", "whether the page is still mapped at SCRATCH", 0,
             (uvpt_entry(UTEMP) & PTE_P) != 0);
}

static void offsets(envid_t guest, int fd)
{
    const size_t offset = 1000, n = PGSIZE + 10;
    gpa_t at = PLACE + 16 * PGSIZE;
    map_in_guest(guest, at, 2 * PGSIZE, fd, n, offset);
    property("map-offset", "bytes that differ from the file's, from its offset 1000 on", 0,
             differ(guest, at, content + offset, n));
}

/* A segment that begins in the middle of a page that has something already. */
static void unaligned(envid_t guest, int fd)
{
    const size_t inner = 0x300, n = 2 * PGSIZE;
    gpa_t at = PLACE + 32 * PGSIZE;
    static uint8_t old[PGSIZE];
    memset(old, NOTHING, sizeof(old));
    sys_guest_mem(guest, at, old, PGSIZE, true);
    int r = map_in_guest(guest, at + inner, n, fd, n, 0);
    property("map-middle", "bytes that differ from the file's", 0,
             r < 0 ? r : differ(guest, at + inner, content, n));
    property("map-keeps", "bytes in front of the segment that changed", 0,
             differ(guest, at, old, inner));
}

static void bad_calls(envid_t guest, int fd)
{
    gpa_t at = PLACE + 64 * PGSIZE;
    property("map-too-long", "the result when filesz is more than memsz", -E_INVAL,
             map_in_guest(guest, at, PGSIZE, fd, PGSIZE + 1, 0));
    property("map-short-file", "whether the file's end is an error", 1,
             map_in_guest(guest, at, 8 * PGSIZE, fd, 8 * PGSIZE, 0) < 0);
    property("map-outside", "whether a place outside of memory is an error", 1,
             map_in_guest(guest, MEMSIZE, PGSIZE, fd, PGSIZE, 0) < 0);
}

static void kernel(envid_t guest, int fd)
{
    gpa_t at = PLACE + 128 * PGSIZE;
    struct Image im = {
        .fd = fd,
        .nsegs = 3,
        .segs = { { at, PGSIZE, PGSIZE, 0 },
                  { at + 4 * PGSIZE, 2 * PGSIZE, 10, PGSIZE },
                  { at + 8 * PGSIZE, PGSIZE, 100, 3 * PGSIZE } },
    };
    int r = copy_guest_kern_gpa(guest, &im);
    property("kernel-result", "the result of copy_guest_kern_gpa", 0, r);
    int64_t bad = 0;
    for (unsigned i = 0; i < im.nsegs; i++)
        bad += differ(guest, im.segs[i].gpa, content + im.segs[i].offset, im.segs[i].filesz);
    property("kernel-segments", "bytes of three segments that differ", 0, bad);
    im.segs[1].gpa = MEMSIZE;
    property("kernel-error", "whether a segment outside of memory is an error", 1,
             copy_guest_kern_gpa(guest, &im) < 0);
}

static void loading(void)
{
    int fd = make_file();
    struct Boot b = boot_of(MEMSIZE, ENTRY);
    envid_t guest = make_guest(&b, 0);
    if (fd < 0 || guest <= 0) {
        printf("test-lab: no file (%e) or no guest (%e)\n", fd, guest);
        return;
    }
    whole_pages(guest, fd);
    offsets(guest, fd);
    unaligned(guest, fd);
    bad_calls(guest, fd);
    kernel(guest, fd);
    discard(guest);
}

/* ---- In gOS: its disk ---- */

#define GOS_PATH   "/test-lab-file"
#define GOS_BLOCKS 40

static uint8_t block[PGSIZE];

static void fill_block(unsigned n)
{
    for (size_t i = 0; i < sizeof(block); i++)
        block[i] = n + i * 7 + nonce[(n + i) % 8];
}

/* Blocks of the file that are not as they were written. */
static int64_t wrong_blocks(void)
{
    int fd = open(GOS_PATH, O_RDONLY);
    int64_t wrong = 0;
    if (fd < 0)
        return fd;
    for (unsigned n = 0; n < GOS_BLOCKS; n++) {
        fill_block(n);
        wrong += readn(fd, seen, PGSIZE) != PGSIZE || memcmp(seen, block, PGSIZE) != 0;
    }
    close(fd);
    return wrong;
}

static void gos_writes(void)
{
    struct Stat st;
    property("gos-files", "the result of looking for /README", 0, stat("/README", &st));
    int fd = open(GOS_PATH, O_RDWR | O_CREAT | O_TRUNC);
    int64_t failed = fd < 0;
    for (unsigned n = 0; fd >= 0 && n < GOS_BLOCKS; n++) {
        fill_block(n);
        failed += write(fd, block, sizeof(block)) != sizeof(block);
    }
    if (fd >= 0)
        close(fd);
    property("gos-write", "blocks that could not be written", 0, failed);
    property("gos-read-again", "blocks of the file that are not as they were written", 0,
             wrong_blocks());
    sync();
}

static void gos_reads(void)
{
    property("gos-kept", "blocks of the file that are not as they were written", 0, wrong_blocks());
}

int umain(int argc, char **argv)
{
    if (argc < 3 || strlen(argv[1]) < 8) {
        warn("usage: test-lab NONCE EXERCISE [write|read]");
        return 2;
    }
    nonce = argv[1];
    exercise = argv[2][0] - '0';
    if (exercise == 1) {
        made();
        flags();
        refused();
    } else if (exercise == 3) {
        loading();
    } else if (argc > 3 && strcmp(argv[3], "write") == 0) {
        gos_writes();
    } else {
        gos_reads();
    }
    printf("test-lab %s %d sum: %u ok, %u failed\n", nonce, exercise, holds, fails);
    return fails != 0;
}
