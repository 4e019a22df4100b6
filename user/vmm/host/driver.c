/*
 * A driver for virtio devices, by the guest's means: the bus, configuration space and memory.
 */
#include <user/vmm/host/driver.h>
#include <user/vmm/host/memory.h>

/* In the area of a queue, and where buffers are */
#define AVAIL   0x1000ul
#define USED    0x2000ul
#define BUFFERS 0x100000ul

#define MSIX_ENABLE 0x80
#define MSI_ENABLE  0x01
#define MSI_ADDRESS 0xfee00000u
#define MSIX_TABLE  0x1000

/* Registers ("Common configuration structure layout") */
enum {
    DRIVER_SELECT = 0x08,
    DRIVER_FEATURES = 0x0c,
    CONFIG_VECTOR = 0x10,
    STATUS = 0x14,
    QUEUE_SELECT = 0x16,
    QUEUE_SIZE = 0x18,
    QUEUE_VECTOR = 0x1a,
    QUEUE_ENABLE = 0x1c,
    QUEUE_DESC = 0x20,
    QUEUE_AVAIL = 0x28,
    QUEUE_USED = 0x30,
};

/* A queue of a device, as the driver sees it. */
struct Place {
    struct Virtio *v;
    unsigned queue;
    gpa_t area;
};

static struct Place place_of(struct Bed *b, unsigned device, unsigned queue)
{
    struct Place p = { bed_virtio(b, device), queue, 0 };
    p.area = DRIVER_AREAS + (device * VIRTIO_QUEUES + queue) * DRIVER_AREA_SIZE;
    return p;
}

static unsigned choose_device(const struct Bed *b, unsigned n)
{
    return bed_choose(b, PART_RNG, BED_VIRTIO, n) - PART_RNG;
}

static struct Place take_place(struct Bed *b, struct Input *in)
{
    unsigned byte = input_take(in, 1), device = choose_device(b, byte);
    return place_of(b, device, (byte >> 4) % bed_virtio(b, device)->type->nqueues);
}

static void set(struct Bed *b, const struct Virtio *v, unsigned reg, unsigned size, uint64_t value)
{
    bus_write(&b->bus.memory, v->pci.bars[0].mapped + reg, size, value);
}

static void start_queue(struct Bed *b, const struct Place *p, struct Input *in)
{
    static const char empty[8];
    const struct Virtio *v = p->v;
    unsigned how = input_take(in, 1);
    memory_write(p->area + AVAIL, empty, sizeof(empty));
    memory_write(p->area + USED, empty, sizeof(empty));
    set(b, v, QUEUE_SELECT, 2, p->queue);
    set(b, v, QUEUE_SIZE, 2, 1u << (how & 7));
    set(b, v, QUEUE_VECTOR, 2, p->queue);
    set(b, v, QUEUE_DESC, 8, p->area);
    set(b, v, QUEUE_AVAIL, 8, p->area + AVAIL + (how & 8 ? 0xffe : 0));
    set(b, v, QUEUE_USED, 8, p->area + USED + (how & 16 ? 0xffc : 0));
    set(b, v, QUEUE_ENABLE, 2, 1);
}

/* Both capabilities have their control in the second word. */
static void start_msi(struct Virtio *v)
{
    pci_write(&v->pci, v->msix.cap + 3, 1, 0);
    pci_write(&v->pci, v->msi + 4, 4, MSI_ADDRESS);
    pci_write(&v->pci, v->msi + 8, 4, 0);
    pci_write(&v->pci, v->msi + 12, 2, 0x40);
    pci_write(&v->pci, v->msi + 2, 1, MSI_ENABLE);
}

static void start_msix(struct Bed *b, struct Virtio *v)
{
    pci_write(&v->pci, v->msix.cap + 3, 1, MSIX_ENABLE);
    for (unsigned i = 0; i < v->msix.nvectors; i++) {
        set(b, v, MSIX_TABLE + 16 * i, 8, MSI_ADDRESS);
        set(b, v, MSIX_TABLE + 16 * i + 8, 8, 0x40 + i);
    }
}

void driver_start(struct Bed *b, struct Input *in)
{
    unsigned device = choose_device(b, input_take(in, 1)), features = input_take(in, 1);
    struct Virtio *v = bed_virtio(b, device);
    pci_write(&v->pci, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEM | PCI_COMMAND_MASTER);
    if (!v->pci.bars[0].mapped)
        return;
    set(b, v, STATUS, 1, 0);
    set(b, v, STATUS, 1, VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER);
    set(b, v, DRIVER_SELECT, 4, 0);
    set(b, v, DRIVER_FEATURES, 4,
        (features << 24 & 0x30000000) | (features & 0x40 ? v->type->features : 0));
    set(b, v, DRIVER_SELECT, 4, 1);
    set(b, v, DRIVER_FEATURES, 4, 1);
    set(b, v, STATUS, 1, VIRTIO_FEATURES_OK);
    set(b, v, CONFIG_VECTOR, 2, v->type->nqueues);
    if (features & 0x80)
        start_msi(v);
    else
        start_msix(b, v);
    for (unsigned i = 0; i < v->type->nqueues; i++) {
        struct Place p = place_of(b, device, i);
        start_queue(b, &p, in);
    }
    set(b, v, STATUS, 1, VIRTIO_DRIVER_OK);
}

/* ---- Descriptors ---- */

static gpa_t take_gpa(struct Input *in)
{
    unsigned how = input_take(in, 1);
    switch (how & 7) {
    case 0:
        return input_take(in, 8);
    case 1:
        return DRIVER_AREAS + input_take(in, 2); /* rings */
    case 2:
        return GUEST_HOLE_START - input_take(in, 1);
    case 3:
        return GUEST_HOLE_END + MEMORY_HIGH - input_take(in, 1);
    case 4:
        return GUEST_HOLE_END + input_take(in, 2);
    }
    return BUFFERS + (how >> 3) * PGSIZE + input_take(in, 2);
}

static void write_desc(const struct Place *p, unsigned index, gpa_t gpa, uint32_t len,
                       uint16_t flags, uint16_t next)
{
    const struct {
        uint64_t gpa;
        uint32_t len;
        uint16_t flags, next;
    } desc = { gpa, len, flags, next };
    memory_write(p->area + index * sizeof(desc), &desc, sizeof(desc));
}

void driver_describe(struct Bed *b, struct Input *in)
{
    struct Place p = take_place(b, in);
    unsigned index = input_take(in, 1), flags = input_take(in, 1);
    gpa_t gpa = take_gpa(in);
    uint32_t len = input_take(in, flags & 0x80 ? 4 : 2);
    write_desc(&p, index, gpa, len, flags & 7, input_take(in, 1));
}

static void offer(const struct Place *p, uint16_t head, unsigned n)
{
    gpa_t avail = p->v->queues[p->queue].s.avail;
    uint16_t index, size = p->v->queues[p->queue].s.size;
    memory_read(avail + 2, &index, sizeof(index));
    for (; n > 0; n--)
        memory_write(avail + 4 + 2ul * (index++ & (size - 1)), &head, sizeof(head));
    memory_write(avail + 2, &index, sizeof(index));
}

void driver_offer(struct Bed *b, struct Input *in)
{
    struct Place p = take_place(b, in);
    uint16_t head = input_take(in, 1);
    offer(&p, head, input_take(in, 1));
}

static void notify(struct Bed *b, const struct Place *p)
{
    bus_write(&b->bus.ports, p->v->pci.bars[1].mapped, 2, p->queue);
}

void driver_notify(struct Bed *b, struct Input *in)
{
    struct Place p = take_place(b, in);
    notify(b, &p);
}

void driver_request(struct Bed *b, struct Input *in)
{
    struct Place p = take_place(b, in);
    unsigned n = 1 + (input_take(in, 1) & 3), writable = input_take(in, 1);
    for (unsigned i = 0; i < n; i++) {
        unsigned flags = (i + 1 < n ? 1 : 0) | (i >= (writable & 3) ? 2 : 0);
        write_desc(&p, i, BUFFERS + i * 2 * PGSIZE, input_take(in, 2) & 0x1fff, flags, i + 1);
    }
    offer(&p, 0, 1 + (writable >> 4));
    notify(b, &p);
}

/* Header, data in two pieces, status. */
void driver_disk_request(struct Bed *b, struct Input *in)
{
    static const uint8_t types[] = { 0, 1, 4, 8, 11, 13, 0, 1 };
    struct Place p = place_of(b, PART_BLK - PART_RNG, 0);
    unsigned how = input_take(in, 1), sectors = input_take(in, 1) & 0x1f;
    const struct {
        uint32_t type, reserved;
        uint64_t sector;
    } header = { types[how & 7], 0, how & 8 ? input_take(in, 8) : input_take(in, 2) & 0x1ff };
    const struct {
        uint64_t sector;
        uint32_t count, flags;
    } segment = { input_take(in, 2) & 0x1ff, input_take(in, 2) & 0x1ff, how >> 4 & 1 };
    bool to_guest = header.type == 0 || header.type == 8;
    gpa_t at = BUFFERS + (how & 0x20 ? 0x600 : 0);
    uint32_t bytes = header.type > 8 ? sizeof(segment) * (1 + (sectors & 1)) : sectors * BLK_SECTOR;
    memory_write(BUFFERS - PGSIZE, &header, sizeof(header));
    memory_write(at, &segment, sizeof(segment));
    write_desc(&p, 0, BUFFERS - PGSIZE, sizeof(header), 1, 1);
    write_desc(&p, 1, at, bytes / 3, to_guest ? 3 : 1, 2);
    write_desc(&p, 2, at + bytes / 3, bytes - bytes / 3, to_guest ? 3 : 1, 3);
    write_desc(&p, 3, BUFFERS - 2 * PGSIZE, 1, 2, 0);
    offer(&p, 0, 1 + (how >> 6));
    notify(b, &p);
}

void driver_configure(struct Bed *b, struct Input *in)
{
    struct Place p = take_place(b, in);
    unsigned reg = input_take(in, 1), size = 1u << input_take(in, 1) % 3;
    pci_read(&p.v->pci, reg, size);
    pci_write(&p.v->pci, reg, size, input_take(in, size));
}
