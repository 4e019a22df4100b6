/*
 * The PCI bus: configuration space, where base address registers are on the guest's bus, and the
 * host bridge.
 */
#include <inc/error.h>
#include <inc/string.h>
#include <user/vmm/dev/pci/pci.h>

#define PORT_ADDRESS 0xcf8 /* whole, by 32-bit accesses; 0xcf9 is another device's */
#define PORT_DATA    0xcfc
#define DATA_PORTS   4

/* The address register (PCI Local Bus Specification, "Configuration Mechanism #1") */
#define ADDRESS_ENABLE 0x80000000u
#define ADDRESS_VALID  0x80fffffcu
#define ADDRESS_BUS(a) ((a) >> 16 & 0xff)
#define ADDRESS_DEV(a) ((a) >> 11 & 0x1f)
#define ADDRESS_FN(a)  ((a) >> 8 & 7)
#define ADDRESS_REG(a) ((a)&0xfc)

/* ---- Configuration space ---- */

uint32_t pci_get(const struct PciFunction *f, unsigned reg, unsigned size)
{
    uint32_t value = 0;
    memcpy(&value, f->config + reg, size);
    return value;
}

void pci_set(struct PciFunction *f, unsigned reg, unsigned size, uint32_t value)
{
    memcpy(f->config + reg, &value, size);
}

static bool in_config(unsigned reg, unsigned size)
{
    return reg < PCI_CONFIG && size <= PCI_CONFIG - reg && size <= sizeof(uint32_t);
}

uint32_t pci_read(struct PciFunction *f, unsigned reg, unsigned size)
{
    if (!in_config(reg, size))
        return ~0u;
    if (f->hooks && f->hooks->before_read)
        f->hooks->before_read(f, reg, size);
    return pci_get(f, reg, size);
}

/* ---- BARs on the bus ---- */

static struct BusSpace *space_of(const struct PciHost *h, const struct PciBar *bar)
{
    return bar->io ? &h->bus->ports : &h->bus->memory;
}

static uint64_t bar_address(const struct PciFunction *f, unsigned n)
{
    const struct PciBar *bar = &f->bars[n];
    return pci_get(f, PCI_BAR + 4 * n, 4) & ~(bar->size - 1);
}

/* May the BAR be where its register says? */
static bool bar_is_allowed(const struct PciFunction *f, unsigned n)
{
    const struct PciBar *bar = &f->bars[n];
    uint64_t start = bar->io ? PCI_IO_START : PCI_MEM_START;
    uint64_t end = bar->io ? PCI_IO_END : PCI_MEM_END;
    uint64_t first = bar_address(f, n);
    uint32_t enabled = bar->io ? PCI_COMMAND_IO : PCI_COMMAND_MEM;
    return bar->size > 0 && (f->config[PCI_COMMAND] & enabled) && first >= start && first < end &&
           bar->size <= end - first;
}

static void unmap_bars(struct PciHost *h, struct PciFunction *f)
{
    for (unsigned n = 0; n < PCI_BARS; n++) {
        struct PciBar *bar = &f->bars[n];
        if (bar->mapped)
            bus_remove(space_of(h, bar), bar->mapped, bar->device);
        bar->mapped = 0;
    }
}

static void map_bars(struct PciHost *h, struct PciFunction *f)
{
    for (unsigned n = 0; n < PCI_BARS; n++) {
        struct PciBar *bar = &f->bars[n];
        uint64_t first = bar_address(f, n);
        if (bar_is_allowed(f, n) &&
            bus_add(space_of(h, bar), first, bar->size, bar->device, bar->offset) == 0)
            bar->mapped = first;
    }
}

/* Bring the registers into effect. What other devices have stays theirs; of two BARs that overlap,
 * the one in the lower slot answers. */
static void place_bars(struct PciHost *h)
{
    for (unsigned i = 0; i < PCI_SLOTS; i++)
        if (h->slots[i])
            unmap_bars(h, h->slots[i]);
    for (unsigned i = 0; i < PCI_SLOTS; i++)
        if (h->slots[i])
            map_bars(h, h->slots[i]);
}

static bool touches(unsigned first, unsigned size, unsigned reg, unsigned bytes)
{
    return first < reg + bytes && reg < first + size;
}

void pci_write(struct PciFunction *f, unsigned reg, unsigned size, uint32_t value)
{
    if (!in_config(reg, size))
        return;
    for (unsigned i = 0; i < size; i++, value >>= 8) {
        uint8_t bits = f->writable[reg + i];
        f->config[reg + i] = (f->config[reg + i] & ~bits) | (value & bits);
    }
    if (touches(reg, size, PCI_COMMAND, 1) || touches(reg, size, PCI_BAR, 4 * PCI_BARS))
        place_bars(f->host);
    if (f->hooks && f->hooks->written)
        f->hooks->written(f, reg, size);
}

int pci_load(struct PciFunction *f, const uint8_t config[PCI_CONFIG])
{
    for (unsigned i = 0; i < PCI_CONFIG; i++)
        if ((config[i] ^ f->config[i]) & ~f->writable[i])
            return -E_INVAL;
    memcpy(f->config, config, PCI_CONFIG);
    place_bars(f->host);
    return 0;
}

/* ---- Building a function ---- */

void pci_make_writable(struct PciFunction *f, unsigned reg, unsigned size, uint32_t bits)
{
    memcpy(f->writable + reg, &bits, size);
}

void pci_begin(struct PciFunction *f, const struct PciIdentity *id, const struct PciHooks *hooks)
{
    *f = (struct PciFunction){ .hooks = hooks, .caps_end = PCI_FREE, .last_cap = PCI_CAPABILITIES };
    pci_set(f, PCI_VENDOR, 2, id->vendor);
    pci_set(f, PCI_DEVICE, 2, id->device);
    pci_set(f, PCI_REVISION, 1, id->revision);
    pci_set(f, PCI_CLASS, 2, id->class);
    pci_set(f, PCI_CLASS + 2, 1, id->class >> 16);
    pci_set(f, PCI_SUBSYSTEM_VENDOR, 2, id->subsystem_vendor);
    pci_set(f, PCI_SUBSYSTEM, 2, id->subsystem);
    pci_make_writable(f, PCI_COMMAND, 2, PCI_COMMAND_MASTER | PCI_COMMAND_NOINTX);
    pci_make_writable(f, PCI_CACHE_LINE, 2, 0xffff); /* and the latency timer: without effect */
    pci_make_writable(f, PCI_IRQ_LINE, 1, 0xff);     /* for the guest's own use */
}

void pci_bar(struct PciFunction *f, unsigned n, bool io, uint32_t size, struct Device *d,
             uint64_t offset)
{
    uint32_t command = pci_get(f, PCI_COMMAND, 2) | (io ? PCI_COMMAND_IO : PCI_COMMAND_MEM);
    f->bars[n] = (struct PciBar){ .size = size, .io = io, .device = d, .offset = offset };
    pci_set(f, PCI_BAR + 4 * n, 4, io ? PCI_BAR_IO : 0);
    pci_make_writable(f, PCI_BAR + 4 * n, 4, ~(size - 1));
    pci_set(f, PCI_COMMAND, 2, command);
    pci_make_writable(f, PCI_COMMAND, 2, command | PCI_COMMAND_MASTER | PCI_COMMAND_NOINTX);
}

unsigned pci_capability(struct PciFunction *f, uint8_t id, unsigned size)
{
    unsigned at = f->caps_end;
    f->config[f->last_cap] = at;
    f->config[at] = id;
    f->config[PCI_STATUS] |= PCI_STATUS_CAPS;
    f->last_cap = at + 1;
    f->caps_end = ROUNDUP(at + size, 4);
    return at;
}

/* Take a place for a BAR in its window, aligned to its size. */
static int choose_address(struct PciHost *h, struct PciFunction *f, unsigned n)
{
    struct PciBar *bar = &f->bars[n];
    uint64_t *next = bar->io ? &h->next_io : &h->next_mem;
    uint64_t end = bar->io ? PCI_IO_END : PCI_MEM_END, at;
    if (bar->size == 0)
        return 0;
    at = ROUNDUP(*next, bar->size);
    if (at + bar->size > end)
        return -E_NO_MEM;
    pci_set(f, PCI_BAR + 4 * n, 4, at | (bar->io ? PCI_BAR_IO : 0));
    *next = at + bar->size;
    return 0;
}

int pci_plug(struct PciHost *h, struct PciFunction *f)
{
    unsigned slot = 0;
    while (slot < PCI_SLOTS && h->slots[slot])
        slot++;
    int r = slot < PCI_SLOTS ? 0 : -E_NO_MEM;
    for (unsigned n = 0; r == 0 && n < PCI_BARS; n++)
        r = choose_address(h, f, n);
    if (r < 0)
        return r;
    f->host = h;
    h->slots[slot] = f;
    map_bars(h, f);
    return 0;
}

/* ---- The host bridge ---- */

/* Who is addressed, or NULL. */
static struct PciFunction *addressed(const struct PciHost *h)
{
    uint32_t a = h->address;
    bool present = (a & ADDRESS_ENABLE) && ADDRESS_BUS(a) == 0 && ADDRESS_FN(a) == 0;
    return present ? h->slots[ADDRESS_DEV(a)] : NULL;
}

static uint64_t address_read(struct Device *d, uint64_t offset, unsigned size)
{
    (void)offset;
    return size == 4 ? container_of(d, struct PciHost, address_port)->address : ~0ul;
}

static void address_write(struct Device *d, uint64_t offset, unsigned size, uint64_t value)
{
    (void)offset;
    if (size == 4)
        container_of(d, struct PciHost, address_port)->address = value & ADDRESS_VALID;
}

static uint64_t data_read(struct Device *d, uint64_t offset, unsigned size)
{
    const struct PciHost *h = container_of(d, struct PciHost, data_port);
    struct PciFunction *f = addressed(h);
    return f ? pci_read(f, ADDRESS_REG(h->address) + offset, size) : ~0ul;
}

static void data_write(struct Device *d, uint64_t offset, unsigned size, uint64_t value)
{
    const struct PciHost *h = container_of(d, struct PciHost, data_port);
    struct PciFunction *f = addressed(h);
    if (f)
        pci_write(f, ADDRESS_REG(h->address) + offset, size, value);
}

struct SavedHost {
    uint32_t address;
    uint8_t config[PCI_CONFIG];
};

static void host_save(const struct Device *d, void *state)
{
    const struct PciHost *h = container_of(d, struct PciHost, address_port);
    struct SavedHost s = { .address = h->address };
    memcpy(s.config, h->bridge.config, sizeof(s.config));
    memcpy(state, &s, sizeof(s));
}

static int host_load(struct Device *d, const void *state)
{
    struct PciHost *h = container_of(d, struct PciHost, address_port);
    struct SavedHost s;
    memcpy(&s, state, sizeof(s));
    if (s.address & ~ADDRESS_VALID)
        return -E_INVAL;
    int r = pci_load(&h->bridge, s.config);
    if (r == 0)
        h->address = s.address;
    return r;
}

static const struct DeviceKind address_kind = {
    .name = "pci",
    .whole = true,
    .read = address_read,
    .write = address_write,
    .save = host_save,
    .load = host_load,
    .version = 1,
    .size = sizeof(struct SavedHost),
};

static const struct DeviceKind data_kind = {
    .name = "pcidata",
    .read = data_read,
    .write = data_write,
};

/* What QEMU calls its generic host bridge, for which no kernel has special treatment. */
static const struct PciIdentity bridge = {
    .vendor = 0x1b36,
    .device = 0x0008,
    .class = 0x060000,
};

int pci_host_add(struct PciHost *h, struct Bus *bus, const struct PciPeer *peer)
{
    *h = (struct PciHost){ .address_port.kind = &address_kind,
                           .data_port.kind = &data_kind,
                           .bus = bus,
                           .peer = peer,
                           .next_mem = PCI_MEM_START,
                           .next_io = PCI_IO_START };
    pci_begin(&h->bridge, &bridge, NULL);
    int r = pci_plug(h, &h->bridge);
    if (r == 0)
        r = bus_add(&bus->ports, PORT_ADDRESS, 1, &h->address_port, 0);
    if (r == 0)
        r = bus_add(&bus->ports, PORT_DATA, DATA_PORTS, &h->data_port, 0);
    return r;
}
