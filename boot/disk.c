/*
 * The kernel's file on the boot disk, read with the BIOS (INT 13h extensions) in large pieces
 * through the buffer in low memory. The buffer keeps its last piece, so that neighbouring reads
 * cost one access.
 */
#include <boot/loader.h>

#define PIECE_SECTORS 127 /* the most that every BIOS takes in one call */
#define MAX_DOTS      20  /* progress on the serial line is not free */
#define SECTOR_SHIFT  9

/* "Disk address packet"; it must lie where real-mode segment 0 reaches. */
struct DiskPacket {
    uint8_t size, zero;
    uint16_t count; /* sectors */
    uint16_t offset, segment;
    uint64_t lba;
};
_Static_assert(sizeof(struct DiskPacket) == DISK_PACKET_SIZE, "disk address packet");

static uint32_t piece_start, piece_count; /* sectors that the buffer holds */
static uint32_t dots;

/* One attempt to read count sectors to the buffer, `at` sectors after its start. Returns the BIOS'
 * status, 0 for success. */
static uint32_t try_read(uint32_t lba, uint32_t count, uint32_t at)
{
    static struct DiskPacket packet;

    packet = (struct DiskPacket){
        .size = DISK_PACKET_SIZE,
        .count = count,
        .offset = at << SECTOR_SHIFT,
        .segment = (uint32_t)bounce >> 4,
        .lba = lba,
    };
    bios_regs = (struct BiosRegs){
        .eax = DISK_EXT_READ << 8,
        .edx = boot_drive,
        .esi = (uint32_t)&packet,
    };
    bios_call(INT_DISK);
    if (!(bios_regs.eflags & BIOS_CARRY))
        return 0;
    return MAX(bios_regs.eax >> 8 & 0xff, 1u);
}

/* As try_read, with DISK_RETRIES further attempts. */
static uint32_t read_sectors(uint32_t lba, uint32_t count, uint32_t at)
{
    uint32_t status = try_read(lba, count, at);

    for (int retry = 0; status != 0 && retry < DISK_RETRIES; retry++) {
        bios_regs = (struct BiosRegs){ .eax = DISK_RESET << 8, .edx = boot_drive };
        bios_call(INT_DISK);
        status = try_read(lba, count, at);
    }
    return status;
}

/* Fill the buffer with count sectors from lba on. If that fails, single sectors show which one is
 * bad. */
static void read_piece(uint32_t lba, uint32_t count)
{
    piece_start = lba;
    piece_count = count;
    if (dots++ < MAX_DOTS)
        say(".");
    if (read_sectors(lba, count, 0) == 0)
        return;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t status = read_sectors(lba + i, 1, i);

        if (status != 0)
            fail("Disk read error at sector %d (BIOS status 0x%x).", lba + i, (uint64_t)status);
    }
}

void kernel_read(void *dst, uint32_t off, uint32_t len)
{
    uint32_t first = image_header.kernel_sector;
    uint32_t last = first + ((image_header.kernel_bytes - 1) >> SECTOR_SHIFT);
    uint8_t *to = dst;

    while (len > 0) {
        uint32_t lba = first + (off >> SECTOR_SHIFT);

        if (lba - piece_start >= piece_count)
            read_piece(lba, MIN(last - lba + 1, (uint32_t)PIECE_SECTORS));

        uint32_t at = ((lba - piece_start) << SECTOR_SHIFT) + off % SECTOR_SIZE;
        uint32_t n = MIN(len, (piece_count << SECTOR_SHIFT) - at);

        memcpy(to, bounce + at, n);
        to += n;
        off += n;
        len -= n;
    }
}
