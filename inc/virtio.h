/*
 * The driver's side of virtio, for the kernel and for envs (Virtual I/O Device specification 1.x,
 * "Virtio Over PCI Bus" and "Split Virtqueues"). Whoever drives a device has opened its PCI
 * function and mapped its BARs; lib/virtio.c never touches anything else.
 */
#ifndef JOS_INC_VIRTIO_H
#define JOS_INC_VIRTIO_H

#include "memlayout.h"
#include "pci.h"
#include "types.h"

#define VIRTIO_DEVICE_ID(type) PCI_DEVICE_ID(0x1af4, 0x1040 + (type))
#define VIRTIO_TYPE_BLK        2
#define VIRTIO_TYPE_CONSOLE    3

#define VIRTIO_F_VERSION_1 (1ul << 32)

struct VirtioCommon {
    uint32_t device_select, device_features, driver_select, driver_features;
    uint16_t config_vector, num_queues;
    uint8_t status, generation;
    uint16_t queue_select, queue_size, queue_vector, queue_enable, queue_notify_off;
    uint32_t queue_desc[2], queue_avail[2], queue_used[2]; /* low half, high half */
};
_Static_assert(offsetof(struct VirtioCommon, queue_used) == 0x30, "common configuration");

struct Vdev {
    volatile struct VirtioCommon *common;
    volatile uint8_t *config; /* its kind's own; NULL: none */
    volatile uint32_t *msix;  /* table */
    uint64_t notify;          /* address or port of the doorbells */
    uint32_t notify_step;
    bool notify_io;
    uint64_t features; /* negotiated */
};

/* Find the registers of an open PCI function whose memory BARs are mapped at bar[] (NULL: that one
 * is not). -E_NOT_SUPP: some are missing. */
int vdev_find(struct Vdev *v, const struct PciDevice *d, void *const bar[PCI_NBARS]);
/* Reset it and agree on VERSION_1 and what it offers of `want`. -E_NOT_SUPP: it does not want to;
 * -E_IO: it does not reset. */
int vdev_negotiate(struct Vdev *v, uint64_t want);
/* Entry n of its MSI-X table. */
void vdev_message(const struct Vdev *v, unsigned n, const struct PciMessage *m);
/* Queues are there: the device may work. */
void vdev_ready(const struct Vdev *v);
/* Give up: the device stops. */
void vdev_fail(const struct Vdev *v);

/* ---- Queues ---- */

#define VQ_SIZE         64 /* entries; a device must have as many */
#define VQ_NO_VECTOR    0xffff
#define VQ_NEXT         1 /* flags of a descriptor: it continues */
#define VQ_WRITE        2 /* the device writes to it */
#define VQ_NO_INTERRUPT 1
#define VQ_NO_NOTIFY    1

/* What the device reads and writes; lies within a page. */
struct Vring {
    struct {
        uint64_t addr;
        uint32_t len;
        uint16_t flags, next;
    } desc[VQ_SIZE];
    struct {
        uint16_t flags, index, ring[VQ_SIZE], event;
    } avail;
    struct {
        uint16_t flags, index;
        struct {
            uint32_t id, len;
        } ring[VQ_SIZE];
        uint16_t event;
    } used __attribute__((aligned(4)));
} __attribute__((aligned(16)));
_Static_assert(sizeof(struct Vring) <= PGSIZE / 2, "there is room for more in the page");

struct Vqueue {
    volatile struct Vring *ring;
    const struct Vdev *dev;
    uint64_t doorbell;
    uint16_t number, seen; /* what the driver has taken of the used ring */
};

/* Queue `number` with the cleared ring, at physical address pa, and interrupts by entry `vector` of
 * the MSI-X table (or VQ_NO_VECTOR). -E_NOT_SUPP: there is no such queue, or it is too short. */
int vq_init(struct Vqueue *q, const struct Vdev *v, uint16_t number, struct Vring *ring,
            uint64_t pa, uint16_t vector);
void vq_desc(struct Vqueue *q, uint16_t i, uint64_t pa, uint32_t len, uint16_t flags);
/* Offer the chain that begins with descriptor `head`. The device hears of it by vq_kick. */
void vq_offer(struct Vqueue *q, uint16_t head);
void vq_kick(const struct Vqueue *q);
/* Ask for interrupts, or for none. What was used before the call may not bring one. */
void vq_interrupts(struct Vqueue *q, bool on);
/* Take the next used chain: its head, and in *len the bytes that the device has written. -1: there
 * is none now. (What a device writes is not trusted: any head less than VQ_SIZE may come.) */
int vq_take(struct Vqueue *q, uint32_t *len);

#endif
