/*
 * blk: disks by virtio-blk. Disk 0 can be written; a second one, if there is one, may be read-only.
 * What is written comes back in pieces of any shape, discarded and zeroed sectors do not disturb
 * their neighbours, many requests are in flight at a time, and what is not possible fails with the
 * right status. It leaves a pattern on disk 0. Words on its command line: `two`: there is a second
 * disk. `check`: only look for the pattern. `full`: the host has no room for all of the disk.
 * `storm`: write until somebody ends it. `bare`: pass over what QEMU's disk does in its own way: it
 * zeroes as many sectors at once as one likes, takes request 2 for SCSI's, drops bits of a type, is
 * broken by a header of discard that it does not like, and discards for a driver that has not
 * negotiated that.
 */
#include "vblk.h"

const char guest_name[] = "blk";

#define PATTERN_SECTORS 300
#define BIG             (64 * 1024)

static struct Vblk disk, second;
static uint8_t data[BIG + PGSIZE] __attribute__((aligned(PGSIZE)));
static uint8_t back[BIG + PGSIZE] __attribute__((aligned(PGSIZE)));

static void fill(uint8_t *p, size_t n, uint32_t salt)
{
    uint32_t x = salt * 2654435761u + 1;
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        p[i] = x >> 24;
    }
}

static void ok(struct Vblk *b, uint32_t type, uint64_t sector, void *buf, uint32_t n)
{
    unsigned status = vblk_do(b, type, sector, buf, n);
    check(status == S_OK, "request %u for %u bytes at sector %lu has status %u", type, n, sector,
          status);
}

static void tell(struct Vblk *b, unsigned n)
{
    char serial[21] = "";
    trying("who disk %u is", n);
    ok(b, T_GET_ID, 0, serial, 20);
    print("disk %u: %lu sectors, serial %s%s\n", n, b->sectors, serial,
          dev_features(&b->dev) & F_RO ? ", read-only" : "");
}

static void try_shapes(void)
{
    trying("requests of many sizes, from buffers anywhere in a page");
    for (uint32_t i = 0; i < 60; i++) {
        uint32_t n = (1 + i * 7 % 40) * SECTOR, at = i * 13 % 900;
        uint8_t *from = data + i * 61 % PGSIZE, *to = back + i * 97 % PGSIZE;
        fill(from, n, i);
        memset(to, 0, n);
        ok(&disk, T_OUT, at, from, n);
        ok(&disk, T_IN, at, to, n);
        check(memcmp(from, to, n) == 0, "%u bytes at sector %u changed", n, at);
    }
    trying("whole pages");
    fill(data, BIG, 77);
    ok(&disk, T_OUT, 1024, data, BIG);
    memset(back, 0, BIG);
    ok(&disk, T_IN, 1024, back, BIG);
    check(memcmp(data, back, BIG) == 0, "64 KiB changed");
}

/* Header and data are cut in the middle of fields and sectors; the data is in an indirect table. */
static void try_pieces(void)
{
    static struct VqDesc table[40];
    struct Vq *q = &disk.vq;
    uint32_t len, n = 0, i;
    trying("a chain that is cut anywhere");
    fill(data, 8 * SECTOR, 5);
    disk.header[0] = (struct VblkHeader){ T_OUT, 0, 40 };
    disk.status[0] = S_NONE;
    table[0] = (struct VqDesc){ (uint64_t)&disk.header[0], 5, DESC_NEXT, 1 };
    table[1] = (struct VqDesc){ (uint64_t)&disk.header[0] + 5, 11, DESC_NEXT, 2 };
    for (i = 2; n < 8 * SECTOR; i++) {
        uint32_t k = MIN(8 * SECTOR - n, 1 + i * 37 % 400);
        table[i] = (struct VqDesc){ (uint64_t)data + n, k, DESC_NEXT, i + 1 };
        n += k;
    }
    table[i] = (struct VqDesc){ (uint64_t)&disk.status[0], 1, DESC_WRITE, 0 };
    vq_desc(q, 9, table, (i + 1) * sizeof(table[0]), DESC_TABLE, 0);
    vq_offer(q, 9);
    vblk_wait(&disk, 1);
    check(vblk_next(&disk, &len) == 9 && len == 1 && disk.status[0] == S_OK, "status %u, %u bytes",
          disk.status[0], len);
    memset(back, 0, 8 * SECTOR);
    ok(&disk, T_IN, 40, back, 8 * SECTOR);
    check(memcmp(data, back, 8 * SECTOR) == 0, "the data changed");
}

static void segment(uint32_t type, uint64_t sector, uint32_t count, uint32_t flags, unsigned want)
{
    static struct VblkSegment s;
    s = (struct VblkSegment){ sector, count, flags };
    unsigned status = vblk_do(&disk, type, 0, &s, sizeof(s));
    check(status == want, "request %u of %u sectors at %lu: status %u, not %u", type, count, sector,
          status, want);
}

static bool all_zero(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i])
            return false;
    return true;
}

static void try_zeroes(void)
{
    for (uint32_t flags = 0; flags < 2; flags++) {
        trying("to zero sectors%s", flags ? ", with unmap" : "");
        fill(data, 64 * SECTOR, 6 + flags);
        ok(&disk, T_OUT, 100, data, 64 * SECTOR);
        segment(T_WRITE_ZEROES, 105, 50, flags, S_OK);
        ok(&disk, T_IN, 100, back, 64 * SECTOR);
        check(memcmp(data, back, 5 * SECTOR) == 0, "sectors before have changed");
        check(all_zero(back + 5 * SECTOR, 50 * SECTOR), "they are not zero");
        check(memcmp(data + 55 * SECTOR, back + 55 * SECTOR, 9 * SECTOR) == 0,
              "sectors after have changed");
    }
    trying("to discard sectors");
    ok(&disk, T_OUT, 100, data, 64 * SECTOR);
    segment(T_DISCARD, 105, 50, 0, S_OK);
    ok(&disk, T_IN, 100, back, 64 * SECTOR);
    check(memcmp(data, back, 5 * SECTOR) == 0 &&
              memcmp(data + 55 * SECTOR, back + 55 * SECTOR, 9 * SECTOR) == 0,
          "neighbours have changed");
    trying("the whole disk, by zeroes, and a range that it does not have");
    segment(T_WRITE_ZEROES, 0, MIN(disk.sectors, 8192ul), 1, S_OK);
    segment(T_DISCARD, disk.sectors, 1, 0, S_IOERR);
    segment(T_DISCARD, ~0ul, 2, 0, S_IOERR);
    if (!cmdline_has("bare"))
        segment(T_WRITE_ZEROES, 0, 8193, 1, S_IOERR);
    segment(T_DISCARD, 0, 8, 1, S_UNSUPP);
    segment(T_WRITE_ZEROES, 0, 8, 2, S_UNSUPP);
}

static void fails(struct Vblk *b, uint32_t type, uint64_t sector, uint32_t n, unsigned want)
{
    unsigned status = vblk_do(b, type, sector, back, n);
    check(status == want, "request %u for %u bytes at sector %lu: status %u, not %u", type, n,
          sector, status, want);
}

static void try_unknown(void)
{
    fails(&disk, 2, 0, SECTOR, S_UNSUPP);
    fails(&disk, 0x80000000u, 0, SECTOR, S_UNSUPP);
    fails(&disk, T_DISCARD, 0, 15, S_IOERR);
    fails(&disk, T_DISCARD, 0, 17 * 16, S_IOERR);
    fails(&disk, T_DISCARD, 0, 0, S_IOERR);
}

static void try_errors(void)
{
    trying("what cannot be done");
    for (uint32_t type = T_IN; type <= T_OUT; type++) {
        fails(&disk, type, disk.sectors, SECTOR, S_IOERR);
        fails(&disk, type, disk.sectors - 1, 2 * SECTOR, S_IOERR);
        fails(&disk, type, ~0ul, SECTOR, S_IOERR);
        fails(&disk, type, ~0ul / SECTOR + 1, SECTOR, S_IOERR);
        fails(&disk, type, 0, SECTOR - 1, S_IOERR);
        fails(&disk, type, 0, SECTOR + 1, S_IOERR);
    }
    if (!cmdline_has("bare"))
        try_unknown();
    ok(&disk, T_FLUSH, 0, NULL, 0);
}

static void try_many(void)
{
    bool seen[VBLK_DEPTH] = { false };
    trying("%u requests in flight", VBLK_DEPTH);
    for (unsigned round = 0; round < 4; round++) {
        uint32_t len, type = round % 2 ? T_IN : T_OUT;
        uint8_t *buf = round % 2 ? back : data;
        if (round % 2 == 0)
            fill(data, BIG, 50 + round);
        for (unsigned i = 0; i < VBLK_DEPTH; i++)
            vblk_put(&disk, i, type, 2000 + 4 * i, buf + i * 2048, 2048);
        vblk_wait(&disk, VBLK_DEPTH);
        for (unsigned i = 0; i < VBLK_DEPTH; i++) {
            unsigned n = vblk_next(&disk, &len) / 4;
            check(n < VBLK_DEPTH && seen[n] == (round % 2), "request %u came back twice", n);
            check(disk.status[n] == S_OK, "request %u has status %u", n, disk.status[n]);
            check(len == (type == T_IN ? 2049 : 1), "request %u has length %u", n, len);
            seen[n] = !seen[n];
        }
    }
    check(memcmp(data, back, BIG) == 0, "the data changed");
}

/* Without VIRTIO_BLK_F_FLUSH writes are safe when they are done; that they work is what shows. */
static void try_without_features(void)
{
    trying("a driver that knows nothing of flushes, discards and zeroes");
    if (!vblk_open(&disk, 0, 0))
        return;
    fill(data, 3 * SECTOR, 9);
    ok(&disk, T_OUT, 8, data, 3 * SECTOR);
    ok(&disk, T_IN, 8, back, 3 * SECTOR);
    check(memcmp(data, back, 3 * SECTOR) == 0, "the data changed");
    if (!cmdline_has("bare")) {
        segment(T_DISCARD, 0, 8, 0, S_UNSUPP);
        segment(T_WRITE_ZEROES, 0, 8, 0, S_UNSUPP);
    }
    vblk_open(&disk, 0, F_USUAL | F_INDIRECT);
}

static void try_second(void)
{
    if (!vblk_open(&second, 1, F_USUAL))
        return;
    bool read_only = dev_features(&second.dev) & F_RO;
    tell(&second, 1);
    trying("the second disk");
    ok(&second, T_IN, 0, data, SECTOR);
    fails(&second, T_OUT, 0, SECTOR, read_only ? S_IOERR : S_OK);
    ok(&second, T_IN, 0, back, SECTOR);
    check(!read_only || memcmp(data, back, SECTOR) == 0, "a read-only disk has changed");
    ok(&disk, T_IN, 0, data, SECTOR);
    data[0] = ~back[0];
    ok(&disk, T_OUT, 0, data, SECTOR);
    ok(&second, T_IN, 0, back, SECTOR);
    check(data[0] != back[0], "both disks are one");
}

/* From sector 3 on, so that it is not aligned with anything. */
static void pattern(bool write)
{
    trying("to %s a pattern", write ? "leave" : "find");
    for (uint32_t i = 0; i < PATTERN_SECTORS; i += 100) {
        fill(data, 100 * SECTOR, 1000 + i);
        memcpy(back, data, 100 * SECTOR);
        ok(&disk, write ? T_OUT : T_IN, 3 + i, back, 100 * SECTOR);
        check(memcmp(data, back, 100 * SECTOR) == 0, "it is not there");
    }
    if (write)
        ok(&disk, T_FLUSH, 0, NULL, 0);
}

/* Write 64 KiB everywhere; what has come to a good end is there. */
static void try_full(void)
{
    const uint32_t n = BIG / SECTOR;
    uint64_t written = 0, sector;
    trying("to fill the disk");
    for (sector = 0; sector + n <= disk.sectors; sector += n) {
        fill(data, BIG, sector);
        unsigned status = vblk_do(&disk, T_OUT, sector, data, BIG);
        check(status == S_OK || status == S_IOERR, "status %u", status);
        if (status != S_OK)
            break;
        written = sector + n;
    }
    check(written > 0 && written + n < disk.sectors, "it is full after %lu of %lu sectors", written,
          disk.sectors);
    for (sector = 0; sector < written; sector += n) {
        fill(data, BIG, sector);
        ok(&disk, T_IN, sector, back, BIG);
        check(memcmp(data, back, BIG) == 0, "what was written at %lu is lost", sector);
        ok(&disk, T_OUT, sector, data, BIG);
    }
    segment(T_DISCARD, 0, MIN(written, 8192ul), 0, S_OK);
    ok(&disk, T_OUT, written, data, BIG);
}

static void __attribute__((noreturn)) storm(void)
{
    for (uint64_t sector = 0; sector < disk.sectors; sector += 8) /* no holes are left */
        ok(&disk, T_OUT, sector, data, 8 * SECTOR);
    trying("to write for ever");
    for (uint32_t round = 0;; round++) {
        uint32_t len;
        for (unsigned i = 0; i < VBLK_DEPTH; i++)
            vblk_put(&disk, i, i % 16 ? T_OUT : T_FLUSH,
                     (round * 4099 + i * 16) % (disk.sectors - 16), data, i % 16 ? 16 * SECTOR : 0);
        vblk_wait(&disk, VBLK_DEPTH);
        while (vblk_done(&disk))
            vblk_next(&disk, &len);
    }
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    apic_start();
    if (!vblk_open(&disk, 0, F_USUAL | F_INDIRECT))
        return check_result();
    if (cmdline_has("check")) {
        pattern(false);
        return check_result();
    }
    if (cmdline_has("storm"))
        storm();
    if (cmdline_has("full")) {
        try_full();
        return check_result();
    }
    tell(&disk, 0);
    try_shapes();
    try_pieces();
    try_zeroes();
    try_errors();
    try_many();
    try_without_features();
    if (cmdline_has("two"))
        try_second();
    pattern(true);
    return check_result();
}
