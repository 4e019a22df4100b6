/*
 * blk-hostile: what a driver must not do to a disk by virtio-blk. Each attack ends with a bad
 * status or with a device that wants to be reset; after a reset the disk works, and nothing that
 * was underway changes it any more.
 */
#include "vblk.h"

const char guest_name[] = "blk-hostile";

#define NO_MEMORY   0xd0000000ul /* where neither RAM nor a device is */
#define LOCAL_APIC  0xfee00000ul
#define ROUNDS      40
#define STATUS_DESC 2

static struct Vblk disk;
static uint8_t data[64 * SECTOR] __attribute__((aligned(PGSIZE)));
static uint8_t back[64 * SECTOR] __attribute__((aligned(PGSIZE)));

static void reopen(void)
{
    vblk_open(&disk, 0, F_USUAL | F_INDIRECT);
}

/* The disk works. */
static void works(void)
{
    unsigned status = vblk_do(&disk, T_IN, 0, back, SECTOR);
    check(status == S_OK, "a good request has status %u", status);
}

/* A read of 8 sectors, as it should be, in descriptors 0 to 2, and not offered yet. */
static struct VqDesc *prepare(uint32_t type)
{
    disk.header[0] = (struct VblkHeader){ type, 0, 0 };
    disk.status[0] = S_NONE;
    uint16_t write = type == T_IN ? DESC_WRITE : 0;
    vq_desc(&disk.vq, 0, &disk.header[0], sizeof(disk.header[0]), DESC_NEXT, 1);
    vq_desc(&disk.vq, 1, data, 8 * SECTOR, DESC_NEXT | write, STATUS_DESC);
    vq_desc(&disk.vq, STATUS_DESC, (void *)&disk.status[0], 1, DESC_WRITE, 0);
    return disk.vq.desc;
}

/* It must break the device, which a reset repairs. */
static void breaks(const char *what)
{
    trying("%s", what);
    vq_offer(&disk.vq, 0);
    vblk_kick(&disk);
    check(dev_status(&disk.dev) & STATUS_RESET, "the device does not want to be reset");
    check(vblk_done(&disk) == 0, "the chain came back");
    vblk_kick(&disk);
    reopen();
    works();
}

/* It must come back with this status. */
static void gives(const char *what, unsigned want)
{
    uint32_t len;
    trying("%s", what);
    vq_offer(&disk.vq, 0);
    vblk_wait(&disk, 1);
    vblk_next(&disk, &len);
    check(disk.status[0] == want, "status %u, not %u", disk.status[0], want);
    works();
}

static void try_addresses(void)
{
    const struct {
        const char *words;
        uint64_t address;
        uint32_t len;
    } wild[] = {
        { "no memory", NO_MEMORY, 8 * SECTOR },
        { "the end of RAM", memory_end() - SECTOR, 8 * SECTOR },
        { "the end of all addresses", ~0ul - SECTOR + 1, 8 * SECTOR },
        { "4 GiB of RAM", 0, 0xffffffff },
        { "the local APIC", LOCAL_APIC, 8 * SECTOR },
        { "its own registers", disk.dev.common, 8 * SECTOR },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(wild); i++) {
        struct VqDesc *d = prepare(T_IN);
        d[1].addr = wild[i].address;
        d[1].len = wild[i].len;
        trying("data at %s", wild[i].words);
        breaks("a read into it");
        d = prepare(T_OUT);
        d[1].addr = wild[i].address;
        d[1].len = wild[i].len;
        breaks("a write from it");
        d = prepare(T_IN);
        d[STATUS_DESC].addr = wild[i].address;
        d[STATUS_DESC].len = wild[i].len;
        breaks("the status there");
        d = prepare(T_IN);
        d[0].addr = wild[i].address;
        d[0].len = wild[i].len;
        breaks("the header there");
    }
}

static void try_chains(void)
{
    struct VqDesc *d = prepare(T_IN);
    d[STATUS_DESC].flags = 0;
    breaks("a status that is to be read, after data that is to be written");
    d = prepare(T_OUT);
    d[1].flags = 0;
    breaks("no status");
    d = prepare(T_OUT);
    d[0].flags = 0;
    breaks("a header and no more");
    d = prepare(T_IN);
    d[STATUS_DESC].len = 0;
    gives("a status of no bytes: the data's last byte is it", S_NONE);
    d = prepare(T_IN);
    d[0].len = 8;
    gives("half a header", S_IOERR);
    d = prepare(T_IN);
    d[0].next = STATUS_DESC;
    d[0].flags = DESC_NEXT;
    gives("no data", S_OK);
    d = prepare(T_OUT);
    d[0].len = 17;
    gives("data of a sector and a byte", S_IOERR);
    d = prepare(T_IN);
    d[1].len = 100;
    gives("data that is no whole sector", S_IOERR);
    d = prepare(T_IN);
    d[1].next = 1;
    breaks("a loop");
    d = prepare(T_IN);
    d[1].next = VQ_MAX;
    breaks("a descriptor that does not exist");
}

/* More bytes than a 32-bit length can hold, all of them RAM. */
static void try_overflow(void)
{
    static struct VqDesc table[VQ_MAX];
    uint32_t n = MIN(memory_end() / 2, 0x40000000ul) & ~0xffful, len;
    trying("a read whose length wraps");
    prepare(T_IN);
    table[0] = (struct VqDesc){ (uint64_t)&disk.header[0], 16, DESC_NEXT, 1 };
    for (unsigned i = 1; i < VQ_MAX - 1; i++)
        table[i] = (struct VqDesc){ 0x100000, n, DESC_NEXT | DESC_WRITE, i + 1 };
    table[VQ_MAX - 1] = (struct VqDesc){ (uint64_t)&disk.status[0], 1, DESC_WRITE, 0 };
    vq_desc(&disk.vq, 0, table, sizeof(table), DESC_TABLE, 0);
    vq_offer(&disk.vq, 0);
    vblk_wait(&disk, 1);
    vblk_next(&disk, &len);
    check(disk.status[0] == S_IOERR, "status %u", disk.status[0]);
    works();
}

/* Reads of the whole disk, 32 at a time, into the same sectors of memory. */
static void try_long(void)
{
    static struct VqDesc table[VBLK_DEPTH][VQ_MAX];
    uint32_t len, each = disk.sectors * SECTOR / (VQ_MAX - 2);
    trying("reads of the whole disk, all at once");
    for (unsigned k = 0; k < VBLK_DEPTH; k++) {
        disk.header[k] = (struct VblkHeader){ T_IN, 0, 0 };
        disk.status[k] = S_NONE;
        table[k][0] = (struct VqDesc){ (uint64_t)&disk.header[k], 16, DESC_NEXT, 1 };
        for (unsigned i = 1; i < VQ_MAX - 1; i++)
            table[k][i] =
                (struct VqDesc){ 0x800000, each / SECTOR * SECTOR, DESC_NEXT | DESC_WRITE, i + 1 };
        table[k][VQ_MAX - 1] = (struct VqDesc){ (uint64_t)&disk.status[k], 1, DESC_WRITE, 0 };
        vq_desc(&disk.vq, k, table[k], sizeof(table[k]), DESC_TABLE, 0);
        vq_offer(&disk.vq, k);
    }
    vblk_wait(&disk, VBLK_DEPTH);
    for (unsigned k = 0; k < VBLK_DEPTH; k++) {
        vblk_next(&disk, &len);
        check(disk.status[k] == S_OK, "read %u has status %u", k, disk.status[k]);
    }
}

/* Requests that take long are begun, and the device is reset: what a read finds then, every later
 * read finds, too. */
static void try_resets(void)
{
    static const uint32_t types[] = { T_OUT, T_FLUSH, T_DISCARD, T_WRITE_ZEROES };
    static struct VblkSegment all;
    uint32_t sectors = sizeof(data) / SECTOR;
    trying("%u resets with requests in flight", ROUNDS);
    all = (struct VblkSegment){ 0, MIN(disk.sectors, 8192ul), 0 };
    for (unsigned round = 0; round < ROUNDS; round++) {
        memset(data, round + 1, sizeof(data));
        for (unsigned i = 0; i < VBLK_DEPTH; i++) {
            uint32_t type = types[(i + round) % ARRAY_SIZE(types)];
            void *what = type == T_OUT ? (void *)data : &all;
            uint32_t n = type == T_OUT ? sizeof(data) : type == T_FLUSH ? 0 : sizeof(all);
            vblk_put(&disk, i, type, type == T_OUT ? i * sectors % (disk.sectors - sectors) : 0,
                     what, n);
        }
        vblk_kick(&disk);
        reopen();
        check(vblk_do(&disk, T_IN, 0, data, sizeof(data)) == S_OK, "no reading after a reset");
        for (unsigned again = 0; again < 3; again++) {
            check(vblk_do(&disk, T_FLUSH, 0, NULL, 0) == S_OK, "no flush after a reset");
            check(vblk_do(&disk, T_IN, 0, back, sizeof(back)) == S_OK, "no reading any more");
            check(memcmp(data, back, sizeof(data)) == 0, "a request from before the reset came in");
        }
    }
}

/* No bus master: the device leaves memory alone, and goes on after a reset. */
static void try_no_master(void)
{
    trying("to take the bus away with requests in flight");
    for (unsigned i = 0; i < VBLK_DEPTH; i++)
        vblk_put(&disk, i, T_FLUSH, 0, NULL, 0);
    vblk_kick(&disk);
    pci_write(disk.dev.slot, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEM);
    unsigned before = vblk_done(&disk);
    vblk_kick(&disk);
    for (uint64_t end = read_tsc() + 2000000; read_tsc() < end;)
        cpu_pause();
    check(vblk_done(&disk) == before, "it writes to memory without being a bus master");
    reopen();
    works();
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    if (!apic_enable())
        return check_result();
    reopen();
    works();
    try_addresses();
    try_chains();
    try_overflow();
    try_long();
    try_resets();
    try_no_master();
    return check_result();
}
