/*
 * A machine with all device models: the same devices as in machine.c and cards.c, with peers that
 * watch what they are asked.
 */
#include <inc/error.h>
#include <stdlib.h>
#include <string.h>
#include <user/vmm/host/bed.h>
#include <user/vmm/host/memory.h>

#define COM_BASE  0x3f8
#define PCI_PORTS 0xcf8

struct Outside outside;

/* ---- Peers ---- */

/* Whenever a device is busy elsewhere, the guest may change its memory. */
static void called(void)
{
    outside.calls++;
    memory_disturb();
}

static int next_byte(bool ask)
{
    (void)ask;
    memory_disturb();
    outside.bytes++;
    return outside.line > 0 ? (int)(outside.line-- & 0xff) : -1;
}

static void put_bytes(const char *s, size_t n)
{
    memory_disturb();
    outside.bytes += n;
    target_look_at(s, n);
}

static int64_t seconds(void)
{
    return outside.time;
}

static void switch_off(int status)
{
    HOLDS(status >= 0 && status <= 0xff, "status %d", status);
    called();
}

static void reset(uint16_t port)
{
    HOLDS(port != 0, "port %u", port);
    called();
}

static void send_message(void *to, uint64_t address, uint32_t data)
{
    (void)to;
    (void)data;
    called();
    HOLDS(address >> 20 == 0xfee, "message to 0x%lx", address);
}

static uint64_t pm_ticks(void)
{
    return outside.time << 20;
}

/* Some function masters the bus, and sends messages. */
static bool messages_are_on(struct Bed *b)
{
    for (unsigned n = 0; n < BED_VIRTIO; n++) {
        const struct Virtio *v = bed_virtio(b, n);
        bool msi = pci_get(&v->pci, v->msi + 2, 2) & 1;
        if (pci_is_master(&v->pci) && (msi || msix_is_enabled(&v->msix)))
            return true;
    }
    return false;
}

static int send_msi(void *to, uint64_t address, uint32_t data)
{
    (void)data;
    called();
    HOLDS(address % 4 == 0, "message to 0x%lx", address);
    HOLDS(messages_are_on(to), "message to 0x%lx, which nobody may send", address);
    return address >> 20 == 0xfee ? 0 : -1;
}

static void tell(const char *device, const char *words)
{
    target_look_at(device, strlen(device));
    target_look_at(words, strlen(words));
}

static void fill(void *buf, size_t n)
{
    called();
    memset(buf, outside.calls, n);
}

/* A frame for the guest comes back, whatever the guest changes meanwhile. */
static void sent(void *to, const void *frame, size_t len)
{
    HOLDS(len >= NET_FRAME_MIN && len <= NET_FRAME_MAX, "a frame of %zu bytes", len);
    called();
    virtio_net_receive(to, frame, len);
}

static void flush_frames(void *to)
{
    virtio_net_flush(to);
}

static void has_room(void *to)
{
    (void)to;
    called();
}

/* A disk answers at once, in part or whole, or later, or not, as the bits of outside.disk say, one
 * after another. */
static int disk_now(void *to, enum BlkOp op, uint64_t sector, unsigned n, void *page)
{
    bool whole = sector % 8 == 0 && n % 8 == 0 && n <= 8 * BLK_PAGES;
    (void)to;
    HOLDS(op == BLK_READ || op == BLK_WRITE, "operation %d", op);
    HOLDS(n > 0 && (whole || sector / 8 == (sector + n - 1) / 8), "%u sectors at %lu", n, sector);
    HOLDS(sector < DISK_SECTORS && n <= DISK_SECTORS - sector, "%u sectors at %lu", n, sector);
    called();
    unsigned how = outside.disk & 3;
    outside.disk = outside.disk >> 2 | (uint64_t)how << 62;
    if (how != 0 && op == BLK_READ)
        memset(page, outside.calls, n * BLK_SECTOR);
    target_look_at(page, n * BLK_SECTOR);
    return how == 0 ? -E_AGAIN : how == 1 ? -E_IO : how == 2 && n > 8 ? 8 : (int)n;
}

static void *disk_page(void *to)
{
    (void)to;
    called();
    return outside.nwaiting < DISK_WAITING ? outside.pages[outside.nwaiting] : NULL;
}

static void disk_later(void *to, enum BlkOp op, uint64_t sector, unsigned n, struct BlkRequest *r)
{
    (void)to;
    called();
    HOLDS(outside.nwaiting < DISK_WAITING, "%u requests", outside.nwaiting);
    HOLDS(op == BLK_FLUSH ? n == 0 : n > 0, "operation %d, %u sectors", op, n);
    HOLDS(n == 0 || (sector < DISK_SECTORS && n <= DISK_SECTORS - sector), "%u sectors at %lu", n,
          sector);
    HOLDS(n <= ((op == BLK_READ || op == BLK_WRITE) ? 8 : BLK_DISCARD), "%u sectors", n);
    outside.waiting[outside.nwaiting++] = r;
}

static void nudge(void *to)
{
    (void)to;
    called();
}

void bed_disk_answer(unsigned n, bool fails)
{
    if (outside.nwaiting == 0)
        return;
    n %= outside.nwaiting;
    struct BlkRequest *r = outside.waiting[n];
    char *page = outside.pages[n];
    outside.nwaiting--;
    outside.waiting[n] = outside.waiting[outside.nwaiting];
    outside.pages[n] = outside.pages[outside.nwaiting];
    outside.pages[outside.nwaiting] = page;
    blk_answer(r, fails ? -E_IO : 0, page);
}

static const struct UartPeer uart_peer = { next_byte, put_bytes, called };
static const struct RtcPeer rtc_peer = { seconds };
static const struct PmPeer pm_peer = { pm_ticks };
static const struct PowerSwitch power_switch = { switch_off, reset };
static const struct RngPeer rng_peer = { fill };
static const struct ConsolePeer console_peer = { next_byte, put_bytes, called };

/* ---- Parts ---- */

static int add_ioapic(struct Bed *b)
{
    return ioapic_add(&b->ioapic, &b->bus.memory, (struct MessagePeer){ send_message, b });
}

static int add_uart(struct Bed *b)
{
    int r = uart_add(&b->uart, &b->bus.ports, COM_BASE, &uart_peer, ioapic_line(&b->ioapic, 4));
    if (r == 0)
        uart_share(&b->uart, &b->serial, COM_BASE);
    return r;
}

static int add_rtc(struct Bed *b)
{
    return rtc_add(&b->rtc, &b->bus.ports, &rtc_peer, ioapic_line(&b->ioapic, 8));
}

static int add_pm(struct Bed *b)
{
    return pm_add(&b->pm, &b->bus.ports, &pm_peer, &power_switch,
                  ioapic_line(&b->ioapic, SCI_INPUT));
}

static int add_power(struct Bed *b)
{
    return power_add(&b->power, &b->bus.ports, &power_switch);
}

static int add_debug_exit(struct Bed *b)
{
    return debugexit_add(&b->debug_exit, &b->bus.ports, &power_switch);
}

static int add_pci(struct Bed *b)
{
    b->pci_peer = (struct PciPeer){ send_msi, b };
    b->virtio_peer = (struct VirtioPeer){ &b->pci, &b->dma, tell };
    dma_init(&b->dma, &memory_peer, MEMORY_SIZE, &memory_replaced);
    int r = pci_host_add(&b->pci, &b->bus, &b->pci_peer);
    return r == 0 ? pci_ecam_add(&b->ecam, &b->pci) : r;
}

static int add_rng(struct Bed *b)
{
    return virtio_rng_add(&b->rng, &b->virtio_peer, &rng_peer);
}

static int add_console(struct Bed *b)
{
    return virtio_console_add(&b->console, &b->virtio_peer, &console_peer);
}

static int add_net(struct Bed *b)
{
    static const uint8_t mac[NET_MAC] = { 2, 'J', 0, 0, 0, 1 };
    b->loopback = (struct NetPeer){ sent, flush_frames, has_room, &b->net };
    return virtio_net_add(&b->net, &b->virtio_peer, &b->loopback, mac);
}

static int add_blk(struct Bed *b)
{
    static const struct BlkSetup setup = { .sectors = DISK_SECTORS, .serial = "serial" };
    b->blk_peer = (struct BlkPeer){ disk_now, disk_page, disk_later, nudge, b, outside.bounce };
    return blk_add(&b->blk, &setup, &b->blk_peer, &b->virtio_peer);
}

const struct BedPart bed_parts[BED_PARTS] = {
    [PART_IOAPIC] = { add_ioapic, offsetof(struct Bed, ioapic) },
    [PART_UART] = { add_uart, offsetof(struct Bed, uart) },
    [PART_RTC] = { add_rtc, offsetof(struct Bed, rtc) },
    [PART_PM] = { add_pm, offsetof(struct Bed, pm) },
    [PART_POWER] = { add_power, offsetof(struct Bed, power) },
    [PART_DEBUG_EXIT] = { add_debug_exit, offsetof(struct Bed, debug_exit) },
    [PART_PCI] = { add_pci, offsetof(struct Bed, pci.address_port) },
    [PART_RNG] = { add_rng, offsetof(struct Bed, rng) },
    [PART_CONSOLE] = { add_console, offsetof(struct Bed, console) },
    [PART_NET] = { add_net, offsetof(struct Bed, net) },
    [PART_BLK] = { add_blk, offsetof(struct Bed, blk) },
};

struct Device *bed_device(struct Bed *b, unsigned part)
{
    return (struct Device *)((char *)b + bed_parts[part].device);
}

struct Virtio *bed_virtio(struct Bed *b, unsigned n)
{
    struct Virtio *const all[BED_VIRTIO] = { &b->rng.virtio, &b->console.virtio, &b->net.virtio,
                                             &b->blk.virtio };
    return all[n];
}

unsigned bed_choose(const struct Bed *b, unsigned first, unsigned count, unsigned n)
{
    unsigned part = first + n % count;
    for (unsigned i = 0; i < count && !(b->driven >> part & 1); i++)
        part = part + 1 < first + count ? part + 1 : first;
    return part;
}

/* The part that a device is in: parts are in the order of struct Bed's members. */
static unsigned part_of(const struct Bed *b, const struct Device *d)
{
    size_t at = (const char *)d - (const char *)b;
    unsigned part = 0;
    while (part + 1 < BED_PARTS && bed_parts[part + 1].device <= at)
        part++;
    return part;
}

unsigned bed_ranges(const struct Bed *b, const struct BusSpace *space,
                    const struct BusRange *ranges[BUS_RANGES])
{
    unsigned n = 0;
    for (unsigned i = 0; i < space->nranges; i++)
        if (b->driven >> part_of(b, space->ranges[i].device) & 1)
            ranges[n++] = &space->ranges[i];
    return n;
}

void bed_reset_outside(void)
{
    static char pages[DISK_WAITING + 1][PGSIZE];
    outside = (struct Outside){ .bounce = pages[DISK_WAITING] };
    for (unsigned i = 0; i < DISK_WAITING; i++)
        outside.pages[i] = pages[i];
}

struct Bed *bed_make(uint32_t driven)
{
    struct Bed *b = calloc(1, sizeof(*b));
    b->driven = driven;
    for (unsigned i = 0; i < BED_PARTS; i++)
        HOLDS(bed_parts[i].add(b) == 0, "part %u", i);
    return b;
}

/* ---- The bus ---- */

static bool has(const struct BusSpace *space, uint64_t first)
{
    for (unsigned i = 0; i < space->nranges; i++)
        if (space->ranges[i].first == first)
            return true;
    return false;
}

static void check_order(const struct BusSpace *space)
{
    for (unsigned i = 0; i < space->nranges; i++) {
        const struct BusRange *r = &space->ranges[i];
        HOLDS(r->count > 0 && r->first + r->count > r->first, "range at 0x%lx", r->first);
        HOLDS(i == 0 || r[-1].first + r[-1].count <= r->first, "ranges at 0x%lx", r->first);
    }
}

/* Four times the largest queue, each with a call for what it asks for and for what it answers with;
 * 64 KiB of each. */
#define MOST_CALLS (4 * QUEUE_MAX * 4)
#define MOST_BYTES (4 * QUEUE_MAX * 0x10000ul)

void bed_check(const struct Bed *b)
{
    static const uint64_t fixed[] = {
        COM_BASE, 0x70,  0x60,  0x64,  0x92,      0x600,
        0x604,    0x608, 0xcf9, 0x501, PCI_PORTS, PCI_PORTS + 4,
    };
    HOLDS(outside.calls <= MOST_CALLS, "%lu calls by one access", outside.calls);
    HOLDS(outside.bytes <= MOST_BYTES, "%lu bytes by one access", outside.bytes);
    outside.calls = outside.bytes = 0;
    check_order(&b->bus.ports);
    check_order(&b->bus.memory);
    for (unsigned i = 0; i < ARRAY_SIZE(fixed); i++)
        HOLDS(has(&b->bus.ports, fixed[i]), "nobody at port 0x%lx", fixed[i]);
    for (unsigned i = 0; i < b->bus.memory.nranges; i++) {
        const struct BusRange *r = &b->bus.memory.ranges[i];
        bool is_fixed = (r->first == IOAPIC_ADDRESS && r->count == IOAPIC_BYTES) ||
                        (r->first == ECAM_START && r->count == ECAM_SIZE);
        HOLDS(is_fixed || (r->first >= PCI_MEM_START && r->first + r->count <= PCI_MEM_END),
              "a BAR at 0x%lx", r->first);
    }
}
