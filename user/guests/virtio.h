/*
 * A driver's side of PCI and virtio for test guests: configuration space, the registers of a virtio
 * device, and virtqueues whose rings a test may fill as it likes. It relies on nothing that a bare
 * machine does not have.
 */
#ifndef JOS_USER_GUESTS_VIRTIO_H
#define JOS_USER_GUESTS_VIRTIO_H

#include "rt.h"

/* ---- PCI: bus 0, function 0 of each slot ---- */
#define PCI_SLOTS           32
#define PCI_COMMAND         0x04
#define PCI_COMMAND_IO      1
#define PCI_COMMAND_MEM     2
#define PCI_COMMAND_MASTER  4
#define PCI_COMMAND_NO_INTX 0x400
#define PCI_STATUS          0x06
#define PCI_BAR0            0x10
#define PCI_CAPABILITIES    0x34
#define PORT_PCI_ADDRESS    0xcf8
#define PORT_PCI_DATA       0xcfc
#define CAP_MSI             0x05
#define CAP_MSIX            0x11
#define CAP_VENDOR          0x09

uint32_t pci_read(unsigned slot, unsigned reg, unsigned size);
void pci_write(unsigned slot, unsigned reg, unsigned size, uint32_t value);
/* The slot of this device; -1: there is none. From slot `from` on: */
int pci_find(uint16_t vendor, uint16_t device);
int pci_find_from(unsigned from, uint16_t vendor, uint16_t device);
/* The register of the first capability with this id after `after` (0: of all); 0: none. */
unsigned pci_cap(unsigned slot, uint8_t id, unsigned after);
/* Where BAR n is: memory is mapped, one to one. */
uint64_t pci_bar(unsigned slot, unsigned n);
/* Map the 2 MiB around a device's memory, one to one. */
void map_device(uint64_t pa);

/* ---- A virtio device ---- */
#define VIRTIO_VENDOR   0x1af4
#define VIRTIO_DEVICE   0x1040
#define VIRTIO_NET      1
#define VIRTIO_BLK      2
#define VIRTIO_CONSOLE  3
#define VIRTIO_RNG      4
#define F_INDIRECT      (1ul << 28)
#define F_EVENT_IDX     (1ul << 29)
#define F_VERSION_1     (1ul << 32)
#define STATUS_ACK      1
#define STATUS_DRIVER   2
#define STATUS_OK       4
#define STATUS_FEATURES 8
#define STATUS_RESET    64
#define NO_VECTOR       0xffff

/* Common configuration */
#define C_DEVICE_SELECT 0x00
#define C_DEVICE_FEAT   0x04
#define C_DRIVER_SELECT 0x08
#define C_DRIVER_FEAT   0x0c
#define C_CONFIG_VECTOR 0x10
#define C_NUM_QUEUES    0x12
#define C_STATUS        0x14
#define C_GENERATION    0x15
#define C_QUEUE_SELECT  0x16
#define C_QUEUE_SIZE    0x18
#define C_QUEUE_VECTOR  0x1a
#define C_QUEUE_ENABLE  0x1c
#define C_QUEUE_NOTIFY  0x1e
#define C_QUEUE_DESC    0x20
#define C_QUEUE_AVAIL   0x28
#define C_QUEUE_USED    0x30

struct Vdev {
    unsigned slot;
    uint64_t common, isr, config; /* addresses */
    uint64_t notify;              /* address, or port */
    bool notify_io;
    uint32_t notify_multiplier;
    uint64_t msix_table, msix_pending;
    unsigned msix_cap;
};

uint32_t mmio_read(uint64_t address, unsigned size);
void mmio_write(uint64_t address, unsigned size, uint32_t value);
uint8_t dev_status(const struct Vdev *d);
void dev_set_status(const struct Vdev *d, uint8_t status);
uint64_t dev_features(const struct Vdev *d);
/* Find the device of this type and its registers, and let it be a bus master. false, after saying
 * so: there is none. */
bool dev_find(struct Vdev *d, unsigned type);
/* The same for the nth of them, from 0 on. */
bool dev_find_nth(struct Vdev *d, unsigned type, unsigned n);
/* Reset it, and negotiate VERSION_1 and those of `want` that it offers, which are the result. */
uint64_t dev_negotiate(const struct Vdev *d, uint64_t want);
/* The driver is ready. */
void dev_ready(const struct Vdev *d);
/* Let entry n of the MSI-X table be this vector of this CPU, and enable MSI-X. */
void dev_msix(const struct Vdev *d, unsigned n, int vector);
/* Let its MSI capability, which it has, send this message, and enable MSI, or disable it. */
#define MSI_CONTROL 2 /* in the capability */
#define MSI_ADDRESS 4
#define MSI_DATA    12 /* after an address of 64 bits */
#define MSI_ENABLE  1
#define MSI_64      0x80
#define MSIX_ENABLE 0x8000
void dev_msi(const struct Vdev *d, uint64_t address, uint32_t data);
void dev_msi_off(const struct Vdev *d);
void dev_msix_off(const struct Vdev *d);

/* ---- A queue ---- */
#define VQ_MAX      128
#define DESC_NEXT   1
#define DESC_WRITE  2
#define DESC_TABLE  4
#define VQ_PATIENCE 2000000000ul /* ticks to wait for a device */

struct VqDesc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
};

struct Vq {
    struct VqDesc desc[VQ_MAX];
    struct {
        uint16_t flags, index, ring[VQ_MAX], event;
    } avail __attribute__((aligned(16)));
    struct {
        uint16_t flags, index;
        struct {
            uint32_t id, len;
        } ring[VQ_MAX];
        uint16_t event;
    } used __attribute__((aligned(16)));
    const struct Vdev *dev;
    uint16_t number, size, seen;
} __attribute__((aligned(PGSIZE)));

/* Queue `number` of the device, of at most VQ_MAX entries, with entry n of the MSI-X table
 * (NO_VECTOR: none). false: the device has no such queue. */
bool vq_init(struct Vq *q, const struct Vdev *d, uint16_t number, uint16_t n);
void vq_desc(struct Vq *q, uint16_t i, const void *buf, uint32_t len, uint16_t flags,
             uint16_t next);
/* Offer the chain that begins with descriptor `head`; the device hears of it by vq_kick. */
void vq_offer(struct Vq *q, uint16_t head);
void vq_kick(const struct Vq *q);
/* Wait until the device has used one more. Its length; -1: it does not. */
int64_t vq_wait(struct Vq *q);
/* Has the device used one more? */
bool vq_has_used(const struct Vq *q);

#endif
