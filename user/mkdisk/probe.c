/*
 * What is on a disk: file systems and partition tables are known by magic numbers. Nothing that the
 * disk says is believed further than it is printed: text is made printable, places are checked.
 */
#include <inc/fssuper.h>
#include "probe.h"

#define SECTOR 512ul

/* Read n bytes at `at`; what is beyond the end is zeroes. 0 or -E_*. */
static int get(const struct Area *a, uint64_t at, void *buf, size_t n)
{
    memset(buf, 0, n);
    if (at >= a->size)
        return 0;
    int r = seek(a->fd, a->start + at);
    ssize_t got = r < 0 ? r : readn(a->fd, buf, MIN(n, a->size - at));
    return got < 0 ? got : 0;
}

/* A text of at most n bytes, without blanks at its end, in a static buffer. */
static const char *text(const char *s, size_t n)
{
    static char buf[64];
    size_t len = strnlen(s, MIN(n, sizeof(buf) - 1));
    while (len > 0 && s[len - 1] == ' ')
        len--;
    for (size_t i = 0; i < len; i++)
        buf[i] = s[i] >= ' ' && s[i] <= '~' ? s[i] : '?';
    buf[len] = '\0';
    return buf;
}

/* ---- File systems. Each returns 1 after a line, 0: it is none, -E_*. ---- */

static int jos(const struct Area *a)
{
    struct FsSuper s;
    int r = get(a, 0, &s, sizeof(s));
    if (r < 0 || s.magic != FS_MAGIC)
        return r;
    printf("JOS file system, %u blocks of 4 KiB, %s\n", s.nblocks,
           s.clean ? "clean" : "not shut down cleanly");
    return 1;
}

/* The superblock of ext2, ext3 and ext4 ("ext4 Data Structures and Algorithms", "The Super Block").
 */
struct ExtSuper {
    uint32_t inodes, blocks, other[4];
    uint32_t log_block_size; /* 0: 1 KiB */
    uint32_t more[7];
    uint16_t magic, state;
    uint32_t still_more[8];
    uint32_t compat, incompat, ro_compat;
    uint8_t uuid[16];
    char label[16];
};
_Static_assert(offsetof(struct ExtSuper, magic) == 56, "ext superblock");
_Static_assert(offsetof(struct ExtSuper, compat) == 92, "ext superblock");
_Static_assert(offsetof(struct ExtSuper, label) == 120, "ext superblock");

#define EXT_AT        1024
#define EXT_MAGIC     0xef53
#define EXT_CLEAN     1     /* of state */
#define EXT_ERRORS    2     /* of state */
#define EXT_JOURNAL   0x4   /* of compat */
#define EXT_RECOVER   0x4   /* of incompat: the journal has to be replayed */
#define EXT4_INCOMPAT 0x2c0 /* extents, 64-bit, flexible block groups */
#define EXT4_RO_COMPAT                                                        \
    0x478 /* huge files, group checksums, many links, large inodes, checksums \
           */
#define EXT_LOG_BLOCK_MAX 6

static const char *ext_state(const struct ExtSuper *s)
{
    if (s->state & EXT_ERRORS)
        return "with errors: fsck has to repair it";
    if ((s->incompat & EXT_RECOVER) || !(s->state & EXT_CLEAN))
        return "dirty: in use, or not shut down cleanly";
    return "clean";
}

static int ext(const struct Area *a)
{
    struct ExtSuper s;
    int r = get(a, EXT_AT, &s, sizeof(s));
    if (r < 0 || s.magic != EXT_MAGIC || s.log_block_size > EXT_LOG_BLOCK_MAX)
        return r;
    int number = 2;
    if ((s.incompat & EXT4_INCOMPAT) || (s.ro_compat & EXT4_RO_COMPAT))
        number = 4;
    else if (s.compat & EXT_JOURNAL)
        number = 3;
    printf("ext%d, label \"%s\", %u blocks of %u KiB, %s\n", number, text(s.label, sizeof(s.label)),
           s.blocks, 1u << s.log_block_size, ext_state(&s));
    return 1;
}

#define ISO_AT    32768 /* the first volume descriptor */
#define ISO_LABEL 40

static int iso9660(const struct Area *a)
{
    char descriptor[128];
    int r = get(a, ISO_AT, descriptor, sizeof(descriptor));
    if (r < 0 || memcmp(descriptor + 1, "CD001", 5) != 0)
        return r;
    printf("iso9660, label \"%s\"\n", text(descriptor + ISO_LABEL, 32));
    return 1;
}

/* ---- Partitions ---- */

struct MbrEntry {
    uint8_t status, chs_first[3], type, chs_last[3];
    uint32_t start, sectors;
} __attribute__((packed));
_Static_assert(sizeof(struct MbrEntry) == 16, "entry of an MBR");

struct Mbr {
    uint8_t code[446];
    struct MbrEntry entry[4];
    uint16_t signature;
} __attribute__((packed));
_Static_assert(sizeof(struct Mbr) == SECTOR, "MBR");

#define MBR_SIGNATURE  0xaa55
#define MBR_PROTECTIVE 0xee /* type: the partitions are in a GPT */
#define MBR_ACTIVE     0x80

struct GptHeader {
    char magic[8];
    uint8_t other[64];
    uint64_t entries; /* sector */
    uint32_t n, entry_size;
};
_Static_assert(offsetof(struct GptHeader, entries) == 72, "GPT header");

struct GptEntry {
    uint64_t type[2], guid[2], first, last, flags; /* the last sector belongs to it */
    uint16_t name[36];
};
_Static_assert(sizeof(struct GptEntry) == 128, "GPT entry");

#define GPT_MAGIC       "EFI PART"
#define GPT_ENTRIES_MAX 128

static int partition(const struct Area *a, int indent, int number, uint64_t first, uint64_t sectors)
{
    printf("%*s%d: from sector %lu, %lu KiB: ", indent, "", number, first, sectors / 2);
    if (first >= a->size / SECTOR || sectors > a->size / SECTOR - first) {
        printf("not all of it is on the disk\n");
        return 0;
    }
    struct Area part = { a->fd, a->start + first * SECTOR, sectors * SECTOR };
    int r = jos(&part);
    r = r == 0 ? ext(&part) : r;
    r = r == 0 ? iso9660(&part) : r;
    if (r == 0)
        printf("unknown\n");
    return MIN(r, 0);
}

static int gpt(const struct Area *a, int indent)
{
    struct GptHeader h;
    struct GptEntry e;
    int r = get(a, SECTOR, &h, sizeof(h));
    if (r < 0 || memcmp(h.magic, GPT_MAGIC, sizeof(h.magic)) != 0 || h.entry_size < sizeof(e))
        return r;
    printf("GPT\n");
    for (unsigned i = 0; i < MIN(h.n, (uint32_t)GPT_ENTRIES_MAX) && r >= 0; i++) {
        if (h.entries > a->size / SECTOR)
            break;
        r = get(a, h.entries * SECTOR + (uint64_t)i * h.entry_size, &e, sizeof(e));
        if (r == 0 && (e.type[0] || e.type[1]) && e.last >= e.first)
            r = partition(a, indent + 2, i + 1, e.first, e.last - e.first + 1);
    }
    return r < 0 ? r : 1;
}

static bool is_entry(const struct MbrEntry *e)
{
    return e->type != 0 && e->sectors != 0 && (e->status == 0 || e->status == MBR_ACTIVE);
}

static int mbr(const struct Area *a, int indent)
{
    struct Mbr m;
    unsigned n = 0;
    int r = get(a, 0, &m, sizeof(m));
    for (unsigned i = 0; i < ARRAY_SIZE(m.entry); i++)
        n += is_entry(&m.entry[i]);
    if (r < 0 || m.signature != MBR_SIGNATURE || n == 0)
        return r;
    printf("MBR\n");
    for (unsigned i = 0; i < ARRAY_SIZE(m.entry) && r >= 0; i++)
        if (is_entry(&m.entry[i]))
            r = partition(a, indent + 2, i + 1, m.entry[i].start, m.entry[i].sectors);
    return r < 0 ? r : 1;
}

/* ---- All of it ---- */

/* Are the first 64 KiB zeroes? */
static bool is_empty(const struct Area *a)
{
    static char buf[65536];
    if (get(a, 0, buf, sizeof(buf)) < 0)
        return false;
    for (size_t i = 0; i < sizeof(buf); i++)
        if (buf[i])
            return false;
    return true;
}

int probe(const struct Area *a, int indent)
{
    printf("%*s", indent, "");
    int r = jos(a);
    r = r == 0 ? ext(a) : r;
    r = r == 0 ? gpt(a, indent) : r;
    r = r == 0 ? iso9660(a) : r;
    r = r == 0 ? mbr(a, indent) : r;
    if (r == 0)
        printf("%s\n", is_empty(a) ? "empty" : "unknown");
    return MIN(r, 0);
}
