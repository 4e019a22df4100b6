/*
 * The IDE disk: second drive (slave) of the first channel, programmed I/O in transfers of up to 256
 * sectors (ATA/ATAPI "PIO data-in command protocol"). The server runs with IOPL 3. Interrupts stay
 * off while a short poll does; only for a long wait are they turned on, and the server sleeps.
 */
#include <inc/lib.h>
#include <fs/core/disk.h>
#include <fs/server/ide.h>
#include <inc/x86.h>

#define SECTOR_SIZE       512
#define SECTORS_PER_BLOCK (BLKSIZE / SECTOR_SIZE)
#define WORDS(sectors)    ((sectors)*SECTOR_SIZE / 4) /* 32-bit words */

/* Registers of channel 0 */
#define IDE_DATA   0x1f0
#define IDE_ERROR  0x1f1
#define IDE_COUNT  0x1f2
#define IDE_LBA0   0x1f3
#define IDE_LBA1   0x1f4
#define IDE_LBA2   0x1f5
#define IDE_DRIVE  0x1f6
#define IDE_CMD    0x1f7
#define IDE_STATUS 0x1f7
#define IDE_CTL    0x3f6
#define IDE_ALT    0x3f6 /* status, without acknowledging the interrupt */

#define DRIVE_SLAVE_LBA 0xf0
#define CTL_NO_INTR     0x02

/* Status */
#define ST_BUSY  0x80
#define ST_FAULT 0x20
#define ST_DRQ   0x08
#define ST_ERROR 0x01
#define ST_NONE  0xff /* no controller answers */

/* Commands; the _EXT ones take 48-bit sector numbers */
#define CMD_READ           0x20
#define CMD_READ_EXT       0x24
#define CMD_READ_MULT_EXT  0x29
#define CMD_WRITE          0x30
#define CMD_WRITE_EXT      0x34
#define CMD_WRITE_MULT_EXT 0x39
#define CMD_READ_MULT      0xc4
#define CMD_WRITE_MULT     0xc5
#define CMD_SET_MULT       0xc6
#define CMD_FLUSH          0xe7
#define CMD_FLUSH_EXT      0xea
#define CMD_IDENTIFY       0xec

/* Words of the IDENTIFY data */
#define ID_MULTIPLE       47 /* low byte: most sectors in one READ MULTIPLE group */
#define ID_SECTORS        60
#define ID_COMMANDS       83
#define ID_COMMANDS_LBA48 (1 << 10)
#define ID_SECTORS48      100

#define LBA28_SECTORS (1u << 28)
#define SPIN          1000 /* polls before the server sleeps */
#define SLEEP_MS      1    /* at most, in case an interrupt is lost */
#define TIMEOUT_MS    5000
#define TRIES         3

static bool lba48;
static uint32_t group = 1; /* sectors that are transferred for one DRQ */

static const struct {
    uint8_t bit;
    const char *words;
} error_bits[] = {
    { 0x80, "bad checksum in transfer" },
    { 0x40, "uncorrectable data" },
    { 0x20, "medium changed" },
    { 0x10, "sector not found" },
    { 0x08, "medium change requested" },
    { 0x04, "command aborted" },
    { 0x02, "no medium" },
    { 0x01, "address mark not found" },
};

/* Words for the last error. */
static const char *error_words(int r)
{
    uint8_t error = inb(IDE_ERROR);

    if (r == -E_AGAIN)
        return "the drive does not answer";
    for (size_t i = 0; i < ARRAY_SIZE(error_bits); i++)
        if (error & error_bits[i].bit)
            return error_bits[i].words;
    return "drive fault";
}

/* Sleep until the drive is no longer busy. Returns the status; busy still if the time is up. */
static uint8_t sleep_busy(void)
{
    uint64_t deadline = sys_time_msec() + TIMEOUT_MS;
    uint8_t st;

    outb(IDE_CTL, 0);
    while (((st = inb(IDE_ALT)) & ST_BUSY) && sys_time_msec() < deadline)
        sys_irq_wait(IRQ_IDE, SLEEP_MS);
    outb(IDE_CTL, CTL_NO_INTR);
    inb(IDE_STATUS);
    return st;
}

/* Wait until the drive has these status bits (ST_DRQ or none). -E_IO: it reports an error;
 * -E_AGAIN: it stays busy. */
static int wait_ready(uint8_t want)
{
    uint8_t st = inb(IDE_ALT);

    for (int i = 0; (st & ST_BUSY) && i < SPIN; i++)
        st = inb(IDE_ALT);
    if (st & ST_BUSY)
        st = sleep_busy();
    if (st & ST_BUSY)
        return -E_AGAIN;
    if (st & (ST_ERROR | ST_FAULT))
        return -E_IO;
    return (st & want) == want ? 0 : -E_IO;
}

/* The drive needs 400 ns before its status is valid. */
static void settle(void)
{
    for (int i = 0; i < 4; i++)
        inb(IDE_ALT);
}

static void set_address(uint64_t lba, uint32_t sectors)
{
    outb(IDE_COUNT, sectors);
    outb(IDE_LBA0, lba);
    outb(IDE_LBA1, lba >> 8);
    outb(IDE_LBA2, lba >> 16);
}

/* Start a command on the drive. -E_AGAIN: it is still busy with something else. */
static int command(uint8_t cmd, uint64_t lba, uint32_t sectors)
{
    outb(IDE_DRIVE, DRIVE_SLAVE_LBA | (lba48 ? 0 : lba >> 24));
    settle();
    if (wait_ready(0) == -E_AGAIN)
        return -E_AGAIN;
    if (lba48)
        set_address(lba >> 24, sectors >> 8);
    set_address(lba, sectors);
    outb(IDE_CMD, cmd);
    settle();
    return 0;
}

/* Move one group of sectors, part of the transfer of page[], which begins with sector `done`. */
static void move_group(bool write, void *const page[], uint32_t done, uint32_t sectors)
{
    while (sectors > 0) {
        uint32_t at = done % SECTORS_PER_BLOCK, n = MIN(sectors, SECTORS_PER_BLOCK - at);
        char *p = (char *)page[done / SECTORS_PER_BLOCK] + at * SECTOR_SIZE;
        if (write)
            outsl(IDE_DATA, p, WORDS(n));
        else
            insl(IDE_DATA, p, WORDS(n));
        done += n;
        sectors -= n;
    }
}

/* One read or write command. */
static int transfer_once(bool write, uint32_t block, uint32_t n, void *const page[])
{
    static const uint8_t cmds[2][2][2] = {
        /* [write][several sectors a group][lba48] */
        { { CMD_READ, CMD_READ_EXT }, { CMD_READ_MULT, CMD_READ_MULT_EXT } },
        { { CMD_WRITE, CMD_WRITE_EXT }, { CMD_WRITE_MULT, CMD_WRITE_MULT_EXT } },
    };
    uint32_t total = n * SECTORS_PER_BLOCK;
    int r = command(cmds[write][group > 1][lba48], (uint64_t)block * SECTORS_PER_BLOCK, total);

    for (uint32_t done = 0; r == 0 && done < total; done += group) {
        if ((r = wait_ready(ST_DRQ)) < 0)
            break;
        move_group(write, page, done, MIN(group, total - done));
        settle();
    }
    return r == 0 ? wait_ready(0) : r;
}

static int transfer(struct Disk *d, bool write, uint32_t block, uint32_t n, void *const page[])
{
    int r = -E_IO;

    for (int i = 0; r == -E_IO && i < TRIES; i++)
        r = transfer_once(write, block, n, page);
    if (r == 0)
        return 0;
    os_say("fs: %s: cannot %s blocks %u to %u: %s", d->name, write ? "write" : "read", block,
           block + n - 1, error_words(r));
    return -E_IO;
}

static int ide_read(struct Disk *d, uint32_t block, uint32_t n, void *const page[])
{
    return transfer(d, false, block, n, page);
}

static int ide_write(struct Disk *d, uint32_t block, uint32_t n, void *const page[])
{
    return transfer(d, true, block, n, page);
}

static int ide_flush(struct Disk *d)
{
    int r = command(lba48 ? CMD_FLUSH_EXT : CMD_FLUSH, 0, 0);

    if (r == 0)
        r = wait_ready(0);
    if (r == 0)
        return 0;
    os_say("fs: %s: cannot flush: %s", d->name, error_words(r));
    return -E_IO;
}

/* Transfers in groups of 16 or 8 sectors, if the drive can: one wait a group instead of one a
 * sector. */
static void set_group(uint32_t most)
{
    uint32_t want = most >= 16 ? 16 : most >= 8 ? 8 : 1;

    if (want > 1 && command(CMD_SET_MULT, 0, want) == 0 && wait_ready(0) == 0)
        group = want;
}

/* Read the IDENTIFY data. False: there is no such drive. */
static bool identify(uint16_t id[256])
{
    outb(IDE_CTL, CTL_NO_INTR);
    outb(IDE_DRIVE, DRIVE_SLAVE_LBA);
    settle();
    if (inb(IDE_STATUS) == ST_NONE)
        return false;
    set_address(0, 0);
    outb(IDE_CMD, CMD_IDENTIFY);
    settle();
    if (inb(IDE_STATUS) == 0 || wait_ready(ST_DRQ) < 0)
        return false;
    insl(IDE_DATA, id, WORDS(1));
    return true;
}

struct Disk *ide_disk(void)
{
    static struct Disk disk = {
        .name = "IDE disk 1",
        .max_run = DISK_MAX_RUN,
        .read = ide_read,
        .write = ide_write,
        .flush = ide_flush,
    };
    uint16_t id[256];
    uint64_t sectors;

    if (!identify(id)) {
        os_say("fs: no disk: the first IDE channel has no second drive");
        return NULL;
    }
    memcpy(&sectors, &id[ID_SECTORS48], sizeof(sectors));
    uint32_t sectors28 = id[ID_SECTORS] | (uint32_t)id[ID_SECTORS + 1] << 16;
    lba48 = (id[ID_COMMANDS] & ID_COMMANDS_LBA48) && sectors >= LBA28_SECTORS;
    if (!lba48)
        sectors = sectors28;
    disk.nblocks = MIN(sectors / SECTORS_PER_BLOCK, (uint64_t)UINT32_MAX);
    set_group(id[ID_MULTIPLE] & 0xff);
    return &disk;
}
