/*
 * The driver's side of virtio: registers by the capabilities, negotiation, queues. Linked into the
 * kernel, too.
 */
#include <inc/error.h>
#include <inc/pci.h>
#include <inc/string.h>
#include <inc/virtio.h>
#include <inc/x86.h>

/* "Virtio Structure PCI Capabilities" */
enum {
    CAP_COMMON = 1,
    CAP_NOTIFY = 2,
    CAP_CONFIG = 4
};
struct Capability {
    uint8_t id, next, len, type, bar, unused[3];
    uint32_t offset, length;
    uint32_t notify_step; /* CAP_NOTIFY only */
};
_Static_assert(sizeof(struct Capability) == 20, "virtio_pci_notify_cap");

/* "Device Status Field" */
#define STATUS_ACKNOWLEDGE 1
#define STATUS_DRIVER      2
#define STATUS_READY       4
#define STATUS_FEATURES    8
#define STATUS_FAILED      128

#define MSIX_ENTRY    4 /* words */
#define RESET_POLLS   1000000
#define CAPS_MOST     (PCI_CONFIG_SIZE / 4)
#define FIRST_CAP     0x40
#define DOORBELL_SIZE 2

/* ---- Capabilities ---- */

/* Where [offset, offset + length) of a mapped memory BAR is. NULL: it is not. */
static void *in_bar(const struct PciDevice *d, void *const bar[], unsigned n, uint32_t offset,
                    uint32_t length)
{
    if (n >= PCI_NBARS || d->bars[n].is_io || !bar[n] || offset > d->bars[n].size ||
        length > d->bars[n].size - offset)
        return NULL;
    return (char *)bar[n] + offset;
}

/* Doorbells at a port take less than those in memory. */
static void take_notify(struct Vdev *v, const struct PciDevice *d, void *const bar[],
                        const struct Capability *c)
{
    if (v->notify_io || c->bar >= PCI_NBARS || c->len < sizeof(*c))
        return;
    const struct PciBar *b = &d->bars[c->bar];
    bool io = b->size && b->is_io;
    uint64_t at =
        io ? b->start + c->offset : (uintptr_t)in_bar(d, bar, c->bar, c->offset, c->length);
    if (at == 0 || c->length < DOORBELL_SIZE)
        return;
    v->notify = at;
    v->notify_io = io;
    v->notify_step = c->notify_step;
}

static void take_capability(struct Vdev *v, const struct PciDevice *d, void *const bar[],
                            const struct Capability *c)
{
    if (c->type == CAP_NOTIFY) {
        take_notify(v, d, bar, c);
        return;
    }
    void *at = in_bar(d, bar, c->bar, c->offset, c->length);
    if (c->type == CAP_COMMON && c->length >= sizeof(*v->common) && !v->common)
        v->common = at;
    else if (c->type == CAP_CONFIG && !v->config)
        v->config = at;
}

static void take_msix(struct Vdev *v, const struct PciDevice *d, void *const bar[], unsigned reg)
{
    uint32_t table;

    memcpy(&table, &d->config[MIN(reg + PCI_MSIX_TABLE, PCI_CONFIG_SIZE - 4u)], sizeof(table));
    v->msix = in_bar(d, bar, table & 7, table & ~7u, MSIX_ENTRY * sizeof(uint32_t));
}

int vdev_find(struct Vdev *v, const struct PciDevice *d, void *const bar[PCI_NBARS])
{
    unsigned reg = d->config[PCI_CAPABILITIES] & ~3u;

    *v = (struct Vdev){ .notify = 0 };
    for (unsigned n = 0; n < CAPS_MOST && reg >= FIRST_CAP; n++) {
        struct Capability c;
        memset(&c, 0, sizeof(c));
        memcpy(&c, &d->config[reg], MIN(sizeof(c), PCI_CONFIG_SIZE - reg));
        if (c.id == PCI_CAP_VENDOR)
            take_capability(v, d, bar, &c);
        else if (c.id == PCI_CAP_MSIX)
            take_msix(v, d, bar, reg);
        reg = c.next & ~3u;
    }
    return v->common && v->notify && v->msix ? 0 : -E_NOT_SUPP;
}

/* ---- The device ---- */

static uint64_t offered(const struct Vdev *v)
{
    v->common->device_select = 0;
    uint64_t low = v->common->device_features;
    v->common->device_select = 1;
    return low | (uint64_t)v->common->device_features << 32;
}

static void add_status(const struct Vdev *v, uint8_t bits)
{
    v->common->status |= bits;
}

int vdev_negotiate(struct Vdev *v, uint64_t want)
{
    v->common->status = 0;
    for (unsigned i = 0; v->common->status != 0; i++)
        if (i == RESET_POLLS)
            return -E_IO;
    add_status(v, STATUS_ACKNOWLEDGE);
    add_status(v, STATUS_DRIVER);
    v->features = offered(v) & (want | VIRTIO_F_VERSION_1);
    if (!(v->features & VIRTIO_F_VERSION_1))
        return -E_NOT_SUPP;
    v->common->driver_select = 0;
    v->common->driver_features = (uint32_t)v->features;
    v->common->driver_select = 1;
    v->common->driver_features = v->features >> 32;
    add_status(v, STATUS_FEATURES);
    return v->common->status & STATUS_FEATURES ? 0 : -E_NOT_SUPP;
}

void vdev_message(const struct Vdev *v, unsigned n, const struct PciMessage *m)
{
    volatile uint32_t *entry = v->msix + MSIX_ENTRY * n;

    entry[0] = (uint32_t)m->address;
    entry[1] = m->address >> 32;
    entry[2] = m->data;
    entry[3] = 0; /* not masked */
}

void vdev_ready(const struct Vdev *v)
{
    add_status(v, STATUS_READY);
}

void vdev_fail(const struct Vdev *v)
{
    v->common->status = 0;
    add_status(v, STATUS_FAILED);
}

/* ---- Queues ---- */

static void set_address(volatile uint32_t reg[2], uint64_t pa)
{
    reg[0] = (uint32_t)pa;
    reg[1] = pa >> 32;
}

int vq_init(struct Vqueue *q, const struct Vdev *v, uint16_t number, struct Vring *ring,
            uint64_t pa, uint16_t vector)
{
    volatile struct VirtioCommon *c = v->common;

    c->queue_select = number;
    if (c->queue_size < VQ_SIZE)
        return -E_NOT_SUPP;
    c->queue_size = VQ_SIZE;
    set_address(c->queue_desc, pa);
    set_address(c->queue_avail, pa + offsetof(struct Vring, avail));
    set_address(c->queue_used, pa + offsetof(struct Vring, used));
    c->queue_vector = vector;
    if (c->queue_vector != vector)
        return -E_NOT_SUPP;
    *q = (struct Vqueue){ .ring = ring, .dev = v, .number = number };
    q->doorbell = v->notify + (uint64_t)c->queue_notify_off * v->notify_step;
    c->queue_enable = 1;
    return 0;
}

void vq_desc(struct Vqueue *q, uint16_t i, uint64_t pa, uint32_t len, uint16_t flags)
{
    q->ring->desc[i].addr = pa;
    q->ring->desc[i].len = len;
    q->ring->desc[i].flags = flags;
    q->ring->desc[i].next = i + 1;
}

/* The device must not see the new index before what it stands for. */
void vq_offer(struct Vqueue *q, uint16_t head)
{
    uint16_t index = q->ring->avail.index;

    q->ring->avail.ring[index % VQ_SIZE] = head;
    __atomic_thread_fence(__ATOMIC_RELEASE);
    q->ring->avail.index = index + 1;
}

void vq_kick(const struct Vqueue *q)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* the index, before its wish is read */
    if (q->ring->used.flags & VQ_NO_NOTIFY)
        return;
    if (q->dev->notify_io)
        outw(q->doorbell, q->number);
    else
        *(volatile uint16_t *)q->doorbell = q->number;
}

void vq_interrupts(struct Vqueue *q, bool on)
{
    q->ring->avail.flags = on ? 0 : VQ_NO_INTERRUPT;
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* before the driver looks once more */
}

int vq_take(struct Vqueue *q, uint32_t *len)
{
    if (q->ring->used.index == q->seen)
        return -1;
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    uint16_t at = q->seen++ % VQ_SIZE;
    *len = q->ring->used.ring[at].len;
    return q->ring->used.ring[at].id % VQ_SIZE;
}
