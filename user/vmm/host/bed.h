/*
 * A machine with all device models, and what is outside of it.
 *
 * A new device is a member of struct Bed, a name in enum Part, a line in bed_parts, and a function
 * that adds it with what it is connected to, all in the same order; a virtio device has a line in
 * bed_virtio(), too. Its target is a line in devices.c.
 */
#ifndef JOS_USER_VMM_HOST_BED_H
#define JOS_USER_VMM_HOST_BED_H

#include <user/vmm/dev/debugexit.h>
#include <user/vmm/dev/ioapic.h>
#include <user/vmm/dev/pci/ecam.h>
#include <user/vmm/dev/pci/pci.h>
#include <user/vmm/dev/pm.h>
#include <user/vmm/dev/power.h>
#include <user/vmm/dev/rtc.h>
#include <user/vmm/dev/uart.h>
#include <user/vmm/dev/virtio/blk.h>
#include <user/vmm/dev/virtio/console.h>
#include <user/vmm/dev/virtio/net.h>
#include <user/vmm/dev/virtio/rng.h>

enum Part {
    PART_IOAPIC,
    PART_UART,
    PART_RTC,
    PART_PM,
    PART_POWER,
    PART_DEBUG_EXIT,
    PART_PCI, /* with configuration space in memory */
    PART_RNG, /* the first of virtio */
    PART_CONSOLE,
    PART_NET,
    PART_BLK,
    BED_PARTS,
};
#define BED_ALL    ((1u << BED_PARTS) - 1)
#define BED_VIRTIO (BED_PARTS - PART_RNG)

struct Bed {
    uint32_t driven; /* 1 << enum Part: what a target gives its attention to */
    struct Bus bus;
    struct Ioapic ioapic;
    struct Uart uart;
    struct GuestSerial serial; /* what the kernel collects for the UART */
    struct Rtc rtc;
    struct Pm pm;
    struct Power power;
    struct DebugExit debug_exit;
    struct Dma dma;
    struct PciPeer pci_peer;
    struct PciHost pci;
    struct PciEcam ecam;
    struct VirtioPeer virtio_peer;
    struct VirtioRng rng;
    struct VirtioConsole console;
    struct NetPeer loopback;
    struct VirtioNet net;
    struct BlkPeer blk_peer;
    struct Blk blk;
};

struct BedPart {
    int (*add)(struct Bed *b);
    size_t device; /* what saves its state, in struct Bed */
};
extern const struct BedPart bed_parts[BED_PARTS];

struct Bed *bed_make(uint32_t driven);
struct Device *bed_device(struct Bed *b, unsigned part);
struct Virtio *bed_virtio(struct Bed *b, unsigned n);
/* Part `first + n % count`, or the next one of these that is driven. */
unsigned bed_choose(const struct Bed *b, unsigned first, unsigned count, unsigned n);
/* The ranges of a space that belong to driven parts. Returns how many. */
unsigned bed_ranges(const struct Bed *b, const struct BusSpace *space,
                    const struct BusRange *ranges[BUS_RANGES]);
/* After an access: the work of it was bounded, and the bus is in order: what has no BAR is where it
 * was, and BARs are where they may be. */
void bed_check(const struct Bed *b);

#define DISK_SECTORS 0x103 /* no whole number of blocks */
#define DISK_WAITING 4

/* What devices are connected to. */
struct Outside {
    uint64_t time;  /* seconds */
    uint64_t line;  /* bytes that wait for UART and console */
    uint64_t calls; /* of peers, by one access, but for input and output */
    uint64_t bytes; /* of these, by one access */
    uint64_t disk;  /* how it answers: two bits for each request */
    struct BlkRequest *waiting[DISK_WAITING]; /* for it */
    char *pages[DISK_WAITING], *bounce;       /* theirs, and of what it does at once */
    unsigned nwaiting;
};
extern struct Outside outside;
/* At the start: nothing has happened. */
void bed_reset_outside(void);
/* Answer the n-th request that the disk has. */
void bed_disk_answer(unsigned n, bool fails);

#endif
