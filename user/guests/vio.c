/*
 * A driver for virtio devices on PCI, as small as tests need it. One queue, one vector.
 */
#include "vio.h"

#define CONFIG_ADDRESS 0xcf8
#define CONFIG_DATA    0xcfc
#define CONFIG_ENABLE  (1u << 31)
#define SLOTS          32

/* PCI registers and capabilities */
#define REG_ID         0x00
#define REG_COMMAND    0x04
#define COMMAND_ALL    7 /* I/O, memory, bus master */
#define REG_BAR        0x10
#define REG_CAPS       0x34
#define CAP_MSIX       0x11
#define CAP_VENDOR     0x09
#define MSIX_ENABLE    (1u << 31)
#define VIRTIO_ID(type) ((0x1040u + (type)) << 16 | 0x1af4)

/* "Common configuration structure layout" */
#define DEVICE_SELECT   0x00
#define DEVICE_FEATURES 0x04
#define DRIVER_SELECT   0x08
#define DRIVER_FEATURES 0x0c
#define STATUS          0x14
#define QUEUE_SELECT    0x16
#define QUEUE_SIZE      0x18
#define QUEUE_VECTOR    0x1a
#define QUEUE_ENABLE    0x1c
#define QUEUE_DESC      0x20
#define QUEUE_AVAIL     0x28
#define QUEUE_USED      0x30

#define S_ACKNOWLEDGE 1
#define S_DRIVER      2
#define S_DRIVER_OK   4
#define S_FEATURES_OK 8

#define MSI_ADDRESS 0xfee00000u
#define DEVICES     8 /* that may have queues at the same time */

static struct Area {
    struct VioDesc desc[VIO_QUEUE];
    struct VioAvail avail;
    struct VioUsed used;
} __attribute__((aligned(PGSIZE))) areas[DEVICES];

uint32_t pci_read(unsigned slot, unsigned reg)
{
    outl(CONFIG_ADDRESS, CONFIG_ENABLE | slot << 11 | (reg & ~3u));
    return inl(CONFIG_DATA) >> 8 * (reg & 3);
}

void pci_write(unsigned slot, unsigned reg, uint32_t value)
{
    outl(CONFIG_ADDRESS, CONFIG_ENABLE | slot << 11 | reg);
    outl(CONFIG_DATA, value);
}

static void set8(const struct Vio *v, unsigned offset, uint8_t value)
{
    v->common[offset] = value;
}

static void set16(const struct Vio *v, unsigned offset, uint16_t value)
{
    *(volatile uint16_t *)(v->common + offset) = value;
}

static void set32(const struct Vio *v, unsigned offset, uint32_t value)
{
    *(volatile uint32_t *)(v->common + offset) = value;
}

static void set64(const struct Vio *v, unsigned offset, uint64_t value)
{
    set32(v, offset, value);
    set32(v, offset + 4, value >> 32);
}

static uint32_t get32(const struct Vio *v, unsigned offset)
{
    return *(volatile uint32_t *)(v->common + offset);
}

/* Memory of a BAR, mapped one to one. */
static volatile uint8_t *bar_memory(unsigned slot, unsigned n)
{
    uint64_t pa = pci_read(slot, REG_BAR + 4 * n) & ~0xfu;
    map_2m(ROUNDDOWN(pa, PGSIZE_2M), ROUNDDOWN(pa, PGSIZE_2M), PTE_P | PTE_W | PTE_PCD);
    return (volatile uint8_t *)pa;
}

/* What a virtio capability (its type and place) says. */
static void note_capability(struct Vio *v, unsigned cap)
{
    unsigned type = pci_read(v->slot, cap + 3) & 0xff, bar = pci_read(v->slot, cap + 4) & 0xff;
    uint32_t offset = pci_read(v->slot, cap + 8);
    switch (type) {
    case 1:
        v->common = bar_memory(v->slot, bar) + offset;
        break;
    case 2:
        v->doorbell = (pci_read(v->slot, REG_BAR + 4 * bar) & ~3u) + offset;
        break;
    case 3:
        v->isr = bar_memory(v->slot, bar) + offset;
        break;
    case 4:
        v->config = bar_memory(v->slot, bar) + offset;
        break;
    }
}

static void map_registers(struct Vio *v)
{
    pci_write(v->slot, REG_COMMAND, COMMAND_ALL);
    for (unsigned cap = pci_read(v->slot, REG_CAPS) & 0xff; cap;
         cap = pci_read(v->slot, cap) >> 8 & 0xff) {
        unsigned id = pci_read(v->slot, cap) & 0xff;
        if (id == CAP_VENDOR)
            note_capability(v, cap);
        if (id != CAP_MSIX)
            continue;
        uint32_t table = pci_read(v->slot, cap + 4);
        v->msix = (volatile uint32_t *)(bar_memory(v->slot, table & 7) + (table & ~7u));
        pci_write(v->slot, cap, MSIX_ENABLE);
    }
}

bool vio_find(struct Vio *v, unsigned type, unsigned nth)
{
    for (unsigned slot = 0; slot < SLOTS; slot++) {
        if (pci_read(slot, REG_ID) != VIRTIO_ID(type) || nth-- > 0)
            continue;
        *v = (struct Vio){ .slot = slot };
        map_registers(v);
        return v->common && v->config && v->msix && v->doorbell;
    }
    return false;
}

uint64_t vio_offered(struct Vio *v)
{
    set32(v, DEVICE_SELECT, 1);
    uint64_t high = get32(v, DEVICE_FEATURES);
    set32(v, DEVICE_SELECT, 0);
    return high << 32 | get32(v, DEVICE_FEATURES);
}

uint8_t vio_status(const struct Vio *v)
{
    return v->common[STATUS];
}

void vio_reset(struct Vio *v)
{
    set8(v, STATUS, 0);
    v->seen = 0;
}

bool vio_negotiate(struct Vio *v, uint64_t features)
{
    v->features = features | VIO_F_VERSION_1;
    vio_reset(v);
    set8(v, STATUS, S_ACKNOWLEDGE);
    set8(v, STATUS, S_ACKNOWLEDGE | S_DRIVER);
    set32(v, DRIVER_SELECT, 0);
    set32(v, DRIVER_FEATURES, v->features);
    set32(v, DRIVER_SELECT, 1);
    set32(v, DRIVER_FEATURES, v->features >> 32);
    set8(v, STATUS, S_ACKNOWLEDGE | S_DRIVER | S_FEATURES_OK);
    return vio_status(v) & S_FEATURES_OK;
}

void vio_place(struct Vio *v, uint64_t desc, uint64_t avail, uint64_t used)
{
    set16(v, QUEUE_SELECT, 0);
    set64(v, QUEUE_DESC, desc);
    set64(v, QUEUE_AVAIL, avail);
    set64(v, QUEUE_USED, used);
    set16(v, QUEUE_ENABLE, 1);
}

void vio_start(struct Vio *v, unsigned size, uint8_t vector)
{
    struct Area *a = &areas[v->slot % DEVICES];
    *a = (struct Area){ .avail.flags = 0 };
    v->desc = a->desc;
    v->avail = &a->avail;
    v->used = &a->used;
    v->size = size;
    v->seen = 0;
    v->msix[0] = MSI_ADDRESS;
    v->msix[1] = 0;
    v->msix[2] = vector;
    v->msix[3] = 0;
    set16(v, QUEUE_SELECT, 0);
    set16(v, QUEUE_SIZE, size);
    set16(v, QUEUE_VECTOR, 0);
    vio_place(v, (uint64_t)a->desc, (uint64_t)&a->avail, (uint64_t)&a->used);
    set8(v, STATUS, S_ACKNOWLEDGE | S_DRIVER | S_FEATURES_OK | S_DRIVER_OK);
}

uint16_t vio_next(struct Vio *v, uint32_t *len)
{
    unsigned i = v->seen++ & (v->size - 1);
    *len = v->used->ring[i].len;
    return v->used->ring[i].id;
}
