/*
 * The driver's side of PCI and virtio; virtio.h has the contracts.
 */
#include "virtio.h"

/* ---- PCI ---- */

static void pci_select(unsigned slot, unsigned reg)
{
    outl(PORT_PCI_ADDRESS, 0x80000000u | slot << 11 | (reg & 0xfc));
}

uint32_t pci_read(unsigned slot, unsigned reg, unsigned size)
{
    uint16_t port = PORT_PCI_DATA + (reg & 3);
    pci_select(slot, reg);
    return size == 1 ? inb(port) : size == 2 ? inw(port) : inl(port);
}

void pci_write(unsigned slot, unsigned reg, unsigned size, uint32_t value)
{
    uint16_t port = PORT_PCI_DATA + (reg & 3);
    pci_select(slot, reg);
    if (size == 1)
        outb(port, value);
    else if (size == 2)
        outw(port, value);
    else
        outl(port, value);
}

int pci_find_from(unsigned from, uint16_t vendor, uint16_t device)
{
    for (unsigned slot = from; slot < PCI_SLOTS; slot++)
        if (pci_read(slot, 0, 4) == (vendor | (uint32_t)device << 16))
            return slot;
    return -1;
}

int pci_find(uint16_t vendor, uint16_t device)
{
    return pci_find_from(0, vendor, device);
}

unsigned pci_cap(unsigned slot, uint8_t id, unsigned after)
{
    unsigned reg = pci_read(slot, after == 0 ? PCI_CAPABILITIES : after + 1, 1) & 0xfc;
    for (int n = 0; reg != 0 && n < 48; n++, reg = pci_read(slot, reg + 1, 1) & 0xfc)
        if (pci_read(slot, reg, 1) == id)
            return reg;
    return 0;
}

void map_device(uint64_t pa)
{
    uint64_t first = ROUNDDOWN(pa, PGSIZE_2M);
    map_2m(first, first, PTE_P | PTE_W | PTE_PCD);
}

uint64_t pci_bar(unsigned slot, unsigned n)
{
    uint32_t bar = pci_read(slot, PCI_BAR0 + 4 * n, 4);
    if (bar & 1)
        return bar & ~3u;
    uint64_t pa = bar & ~15u;
    if ((bar & 6) == 4)
        pa |= (uint64_t)pci_read(slot, PCI_BAR0 + 4 * n + 4, 4) << 32;
    map_device(pa);
    return pa;
}

/* ---- The device ---- */

uint32_t mmio_read(uint64_t address, unsigned size)
{
    switch (size) {
    case 1:
        return *(volatile uint8_t *)address;
    case 2:
        return *(volatile uint16_t *)address;
    }
    return *(volatile uint32_t *)address;
}

void mmio_write(uint64_t address, unsigned size, uint32_t value)
{
    if (size == 1)
        *(volatile uint8_t *)address = value;
    else if (size == 2)
        *(volatile uint16_t *)address = value;
    else
        *(volatile uint32_t *)address = value;
}

uint8_t dev_status(const struct Vdev *d)
{
    return mmio_read(d->common + C_STATUS, 1);
}

void dev_set_status(const struct Vdev *d, uint8_t status)
{
    mmio_write(d->common + C_STATUS, 1, status);
}

uint64_t dev_features(const struct Vdev *d)
{
    mmio_write(d->common + C_DEVICE_SELECT, 4, 0);
    uint64_t low = mmio_read(d->common + C_DEVICE_FEAT, 4);
    mmio_write(d->common + C_DEVICE_SELECT, 4, 1);
    return low | (uint64_t)mmio_read(d->common + C_DEVICE_FEAT, 4) << 32;
}

static void take_capability(struct Vdev *d, unsigned cap)
{
    unsigned type = pci_read(d->slot, cap + 3, 1), n = pci_read(d->slot, cap + 4, 1);
    uint32_t offset = pci_read(d->slot, cap + 8, 4);
    if (type < 1 || type > 4)
        return;
    uint64_t at = pci_bar(d->slot, n) + offset;
    if (type == 1)
        d->common = at;
    else if (type == 3)
        d->isr = at;
    else if (type == 4)
        d->config = at;
    else if (!d->notify || !d->notify_io) { /* the port, if there is the choice */
        d->notify = at;
        d->notify_io = pci_read(d->slot, PCI_BAR0 + 4 * n, 4) & 1;
        d->notify_multiplier = pci_read(d->slot, cap + 16, 4);
    }
}

static void take_msix(struct Vdev *d)
{
    d->msix_cap = pci_cap(d->slot, CAP_MSIX, 0);
    if (!d->msix_cap)
        return;
    uint32_t table = pci_read(d->slot, d->msix_cap + 4, 4);
    uint32_t pending = pci_read(d->slot, d->msix_cap + 8, 4);
    d->msix_table = pci_bar(d->slot, table & 7) + (table & ~7u);
    d->msix_pending = pci_bar(d->slot, pending & 7) + (pending & ~7u);
}

bool dev_find_nth(struct Vdev *d, unsigned type, unsigned n)
{
    int slot = pci_find(VIRTIO_VENDOR, VIRTIO_DEVICE + type);
    for (; n > 0 && slot >= 0; n--)
        slot = pci_find_from(slot + 1, VIRTIO_VENDOR, VIRTIO_DEVICE + type);
    check(slot >= 0, "there is no virtio device of type %u", type);
    if (slot < 0)
        return false;
    *d = (struct Vdev){ .slot = slot };
    pci_write(slot, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEM | PCI_COMMAND_MASTER);
    for (unsigned cap = 0; (cap = pci_cap(slot, CAP_VENDOR, cap)) != 0;)
        take_capability(d, cap);
    take_msix(d);
    check(d->common && d->notify && d->isr && d->msix_table, "it lacks a capability");
    return d->common && d->notify && d->isr && d->msix_table;
}

uint64_t dev_negotiate(const struct Vdev *d, uint64_t want)
{
    dev_set_status(d, 0);
    while (dev_status(d) != 0)
        cpu_pause();
    dev_set_status(d, STATUS_ACK);
    dev_set_status(d, STATUS_ACK | STATUS_DRIVER);
    uint64_t features = (want | F_VERSION_1) & dev_features(d);
    mmio_write(d->common + C_DRIVER_SELECT, 4, 0);
    mmio_write(d->common + C_DRIVER_FEAT, 4, features);
    mmio_write(d->common + C_DRIVER_SELECT, 4, 1);
    mmio_write(d->common + C_DRIVER_FEAT, 4, features >> 32);
    dev_set_status(d, STATUS_ACK | STATUS_DRIVER | STATUS_FEATURES);
    check(dev_status(d) & STATUS_FEATURES, "the device refuses features 0x%lx", features);
    return features;
}

bool dev_find(struct Vdev *d, unsigned type)
{
    return dev_find_nth(d, type, 0);
}

void dev_ready(const struct Vdev *d)
{
    dev_set_status(d, dev_status(d) | STATUS_OK);
}

void dev_msix(const struct Vdev *d, unsigned n, int vector)
{
    uint64_t entry = d->msix_table + 16 * n;
    mmio_write(entry, 4, 0xfee00000);
    mmio_write(entry + 4, 4, 0);
    mmio_write(entry + 8, 4, vector);
    mmio_write(entry + 12, 4, 0);
    pci_write(d->slot, d->msix_cap + MSI_CONTROL, 2, MSIX_ENABLE);
}

void dev_msix_off(const struct Vdev *d)
{
    pci_write(d->slot, d->msix_cap + MSI_CONTROL, 2, 0);
}

void dev_msi(const struct Vdev *d, uint64_t address, uint32_t data)
{
    unsigned cap = pci_cap(d->slot, CAP_MSI, 0);
    bool wide = pci_read(d->slot, cap + MSI_CONTROL, 2) & MSI_64;
    pci_write(d->slot, cap + MSI_ADDRESS, 4, address);
    if (wide)
        pci_write(d->slot, cap + MSI_ADDRESS + 4, 4, address >> 32);
    pci_write(d->slot, cap + (wide ? MSI_DATA : MSI_DATA - 4), 2, data);
    pci_write(d->slot, cap + MSI_CONTROL, 2, MSI_ENABLE);
}

void dev_msi_off(const struct Vdev *d)
{
    pci_write(d->slot, pci_cap(d->slot, CAP_MSI, 0) + MSI_CONTROL, 2, 0);
}

/* ---- Queues ---- */

static void write_address(const struct Vdev *d, unsigned reg, const void *p)
{
    mmio_write(d->common + reg, 4, (uint64_t)p);
    mmio_write(d->common + reg + 4, 4, (uint64_t)p >> 32);
}

bool vq_init(struct Vq *q, const struct Vdev *d, uint16_t number, uint16_t n)
{
    memset(q, 0, sizeof(*q));
    mmio_write(d->common + C_QUEUE_SELECT, 2, number);
    uint16_t size = mmio_read(d->common + C_QUEUE_SIZE, 2);
    check(size > 0 && (size & (size - 1)) == 0, "queue %u has %u entries", number, size);
    if (size == 0)
        return false;
    q->dev = d;
    q->number = number;
    q->size = MIN(size, (uint16_t)VQ_MAX);
    mmio_write(d->common + C_QUEUE_SIZE, 2, q->size);
    write_address(d, C_QUEUE_DESC, q->desc);
    write_address(d, C_QUEUE_AVAIL, &q->avail);
    write_address(d, C_QUEUE_USED, &q->used);
    mmio_write(d->common + C_QUEUE_VECTOR, 2, n);
    check(mmio_read(d->common + C_QUEUE_VECTOR, 2) == n, "queue %u does not take vector %u", number,
          n);
    mmio_write(d->common + C_QUEUE_ENABLE, 2, 1);
    return true;
}

void vq_desc(struct Vq *q, uint16_t i, const void *buf, uint32_t len, uint16_t flags, uint16_t next)
{
    q->desc[i] = (struct VqDesc){ (uint64_t)buf, len, flags, next };
}

/* The ring's entry before the index, for the device. */
void vq_offer(struct Vq *q, uint16_t head)
{
    q->avail.ring[q->avail.index % q->size] = head;
    asm volatile("" ::: "memory");
    q->avail.index++;
    asm volatile("mfence" ::: "memory");
}

void vq_kick(const struct Vq *q)
{
    const struct Vdev *d = q->dev;
    mmio_write(d->common + C_QUEUE_SELECT, 2, q->number);
    uint64_t at =
        d->notify + (uint64_t)mmio_read(d->common + C_QUEUE_NOTIFY, 2) * d->notify_multiplier;
    if (d->notify_io)
        outw(at, q->number);
    else
        mmio_write(at, 2, q->number);
}

bool vq_has_used(const struct Vq *q)
{
    return *(const volatile uint16_t *)&q->used.index != q->seen;
}

int64_t vq_wait(struct Vq *q)
{
    uint64_t start = read_tsc();
    while (!vq_has_used(q)) {
        if (read_tsc() - start > VQ_PATIENCE)
            return -1;
        cpu_pause();
    }
    return q->used.ring[q->seen++ % q->size].len;
}
