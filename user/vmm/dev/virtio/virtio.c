/*
 * The PCI transport of virtio: capabilities that say where the registers are, the registers, and
 * the way from a doorbell to a device and from a device to an interrupt.
 */
#include <inc/error.h>
#include <inc/string.h>
#include <user/vmm/dev/virtio/virtio.h>

#define NO_VECTOR     0xffffu
#define NO_QUEUE_SIZE 0u
#define DEVICE_IDS    0x1040 /* PCI device id of type 0 */
#define SUBSYSTEM     0x40   /* or above: not a transitional device */

#define FEATURES_OFFERED (VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC)
#define STATUS_BITS \
    (VIRTIO_ACKNOWLEDGE | VIRTIO_DRIVER | VIRTIO_DRIVER_OK | VIRTIO_FEATURES_OK | VIRTIO_FAILED)
#define ISR_QUEUE  1u
#define ISR_CONFIG 2u

/* Chains of one notification. Its driver waits until that ends, and so cannot offer more than its
 * queues hold, unless a device's own writes to the rings do. */
#define NOTIFY_MOST (4 * QUEUE_MAX)
#define NO_LIMIT    (~0u)

/* BARs, and what is where in memory */
#define MEMORY_BAR    0
#define MEMORY_SIZE   0x2000
#define COMMON_OFFSET 0x000
#define ISR_OFFSET    0x100
#define CONFIG_OFFSET 0x200
#define MSIX_OFFSET   0x1000
#define DOORBELL_BAR  1
#define DOORBELL_SIZE 4

/* "PCI Device Layout": capabilities of the vendor's */
#define CAP_VENDOR 0x09
enum {
    CAP_COMMON = 1,
    CAP_NOTIFY = 2,
    CAP_ISR = 3,
    CAP_CONFIG = 4,
    CAP_WINDOW = 5,
};
enum { /* offsets in a capability */
    VCAP_LEN = 2,
    VCAP_TYPE = 3,
    VCAP_BAR = 4,
    VCAP_OFFSET = 8,
    VCAP_LENGTH = 12,
    VCAP_DATA = 16, /* of CAP_WINDOW; of CAP_NOTIFY: the multiplier, which is 0 */
    VCAP_SIZE = 16,
    VCAP_LARGE = 20, /* of these two */
};

/* "Common configuration structure layout" */
struct Common {
    uint32_t device_select, device_features, driver_select, driver_features;
    uint16_t config_vector, num_queues;
    uint8_t status, generation;
    uint16_t queue_select, queue_size, queue_vector, queue_enable, queue_notify_off;
    uint64_t queue_desc, queue_avail, queue_used;
};
_Static_assert(offsetof(struct Common, queue_desc) == 0x20, "virtio common configuration");
_Static_assert(sizeof(struct Common) == 0x38, "virtio common configuration");

/* ---- Reset, status, interrupts ---- */

static uint64_t offered(const struct Virtio *v)
{
    return v->type->features | FEATURES_OFFERED;
}

static void reset(struct Virtio *v)
{
    v->driver_features = 0;
    v->device_select = v->driver_select = 0;
    v->queue_select = 0;
    v->config_vector = NO_VECTOR;
    v->left = NO_LIMIT;
    v->status = v->isr = 0;
    for (unsigned i = 0; i < v->type->nqueues; i++)
        queue_reset(&v->queues[i]);
    if (v->type->reset)
        v->type->reset(v);
}

/* By MSI-X if it is enabled, whatever MSI is; by MSI all come as the one message, and the driver
 * reads from ISR what it is about. */
static void interrupt(struct Virtio *v, uint16_t vector, uint8_t isr)
{
    v->isr |= isr;
    if (!msix_is_enabled(&v->msix))
        msi_raise(&v->pci, v->msi);
    else if (vector < v->msix.nvectors)
        msix_raise(&v->msix, vector);
}

void virtio_config_changed(struct Virtio *v)
{
    v->generation++;
    if (v->status & VIRTIO_DRIVER_OK)
        interrupt(v, v->config_vector, ISR_CONFIG);
}

void virtio_broken(struct Virtio *v, const char *words)
{
    if (v->status & VIRTIO_NEEDS_RESET)
        return;
    v->status |= VIRTIO_NEEDS_RESET;
    if (!v->told)
        v->peer->tell(v->type->words, words);
    v->told = true;
    if (v->status & VIRTIO_DRIVER_OK)
        interrupt(v, v->config_vector, ISR_CONFIG);
}

/* ---- Queues ---- */

bool virtio_is_live(const struct Virtio *v, unsigned queue)
{
    return (v->status & (VIRTIO_DRIVER_OK | VIRTIO_NEEDS_RESET | VIRTIO_FAILED)) ==
               VIRTIO_DRIVER_OK &&
           v->queues[queue].s.enabled && pci_is_master(&v->pci);
}

bool virtio_pop(struct Virtio *v, unsigned queue, struct Chain *c)
{
    struct Queue *q = &v->queues[queue];
    if (!virtio_is_live(v, queue))
        return false;
    if (v->left == 0) {
        virtio_broken(v, "its rings are never empty");
        return false;
    }
    enum QueueResult r = queue_pop(q, c);
    if (r == QUEUE_BROKEN)
        virtio_broken(v, q->broken_by);
    if (v->left != NO_LIMIT && r == QUEUE_CHAIN)
        v->left--;
    return r == QUEUE_CHAIN;
}

void virtio_push(struct Virtio *v, unsigned queue, uint16_t head, uint32_t written)
{
    struct Queue *q = &v->queues[queue];
    if (virtio_is_live(v, queue) && !queue_push(q, head, written))
        virtio_broken(v, q->broken_by);
}

void virtio_signal(struct Virtio *v, unsigned queue)
{
    struct Queue *q = &v->queues[queue];
    if (!virtio_is_live(v, queue))
        return;
    if (queue_wants_interrupt(q))
        interrupt(v, q->s.vector, ISR_QUEUE);
    if (q->broken_by)
        virtio_broken(v, q->broken_by);
}

static void notify(struct Virtio *v, unsigned queue)
{
    if (queue >= v->type->nqueues || !virtio_is_live(v, queue))
        return;
    dma_refresh(v->peer->dma);
    v->left = NOTIFY_MOST;
    v->type->notified(v, queue);
    v->left = NO_LIMIT;
}

/* ---- Common configuration ---- */

/* The selected queue, or NULL. */
static struct Queue *selected(struct Virtio *v)
{
    return v->queue_select < v->type->nqueues ? &v->queues[v->queue_select] : NULL;
}

static struct Common common_image(struct Virtio *v)
{
    const struct Queue *q = selected(v);
    struct Common c = {
        .device_select = v->device_select,
        .driver_select = v->driver_select,
        .config_vector = v->config_vector,
        .num_queues = v->type->nqueues,
        .status = v->status,
        .generation = v->generation,
        .queue_select = v->queue_select,
        .queue_size = NO_QUEUE_SIZE,
        .queue_vector = NO_VECTOR,
    };
    if (v->device_select < 2)
        c.device_features = offered(v) >> 32 * v->device_select;
    if (v->driver_select < 2)
        c.driver_features = v->driver_features >> 32 * v->driver_select;
    if (q) {
        c.queue_size = q->s.size;
        c.queue_vector = q->s.vector;
        c.queue_enable = q->s.enabled;
        c.queue_desc = q->s.desc;
        c.queue_avail = q->s.avail;
        c.queue_used = q->s.used;
    }
    return c;
}

static void write_features(struct Virtio *v, uint32_t half)
{
    if (v->driver_select >= 2 || (v->status & VIRTIO_FEATURES_OK))
        return;
    unsigned shift = 32 * v->driver_select;
    v->driver_features &= ~(0xfffffffful << shift);
    v->driver_features |= (uint64_t)half << shift;
}

/* The driver's choice is a good one if it has nothing that was not offered. */
static bool features_ok(const struct Virtio *v)
{
    return !(v->driver_features & ~offered(v)) && virtio_has(v, VIRTIO_F_VERSION_1);
}

static void accept_features(struct Virtio *v)
{
    for (unsigned i = 0; i < v->type->nqueues; i++) {
        v->queues[i].event_idx = virtio_has(v, VIRTIO_F_EVENT_IDX);
        v->queues[i].indirect = virtio_has(v, VIRTIO_F_INDIRECT_DESC);
    }
}

/* The driver sets bits, and clears all of them, which is a reset. */
static void write_status(struct Virtio *v, uint8_t value)
{
    uint8_t added = value & STATUS_BITS & ~v->status;
    if (value == 0) {
        reset(v);
        return;
    }
    if ((added & VIRTIO_FEATURES_OK) && !features_ok(v))
        added &= ~VIRTIO_FEATURES_OK;
    if (!((v->status | added) & VIRTIO_FEATURES_OK))
        added &= ~VIRTIO_DRIVER_OK;
    v->status |= added;
    if (added & VIRTIO_FEATURES_OK)
        accept_features(v);
    for (unsigned i = 0; (added & VIRTIO_DRIVER_OK) && i < v->type->nqueues; i++)
        notify(v, i);
}

/* A vector that there is, or none: what the driver reads back tells it. */
static uint16_t usable_vector(const struct Virtio *v, uint16_t vector)
{
    return vector < v->msix.nvectors ? vector : NO_VECTOR;
}

static void write_queue_size(struct Queue *q, uint16_t size)
{
    if (size > 0 && size <= q->max && (size & (size - 1)) == 0)
        q->s.size = size;
}

static void enable_queue(struct Virtio *v, struct Queue *q)
{
    if (!(v->status & VIRTIO_FEATURES_OK))
        return;
    if (queue_areas_ok(q))
        q->s.enabled = 1;
    else
        virtio_broken(v, "a ring is not in its RAM, or not aligned");
}

/* Registers of the selected queue, which nothing changes once it is enabled, but for its vector. */
static void write_queue(struct Virtio *v, struct Queue *q, uint64_t offset, uint32_t value)
{
    uint64_t *areas[] = { &q->s.desc, &q->s.avail, &q->s.used };
    unsigned area = (offset - offsetof(struct Common, queue_desc)) / sizeof(uint64_t);
    if (offset == offsetof(struct Common, queue_vector))
        q->s.vector = usable_vector(v, value);
    else if (q->s.enabled)
        return;
    else if (offset == offsetof(struct Common, queue_size))
        write_queue_size(q, value);
    else if (offset == offsetof(struct Common, queue_enable) && value == 1)
        enable_queue(v, q);
    else if (offset >= offsetof(struct Common, queue_desc) && area < ARRAY_SIZE(areas))
        memcpy((char *)areas[area] + offset % sizeof(uint64_t), &value, sizeof(value));
}

/* A field, or half of a 64-bit one. */
static void write_field(struct Virtio *v, uint64_t offset, uint32_t value)
{
    switch (offset) {
    case offsetof(struct Common, device_select):
        v->device_select = value;
        return;
    case offsetof(struct Common, driver_select):
        v->driver_select = value;
        return;
    case offsetof(struct Common, driver_features):
        write_features(v, value);
        return;
    case offsetof(struct Common, config_vector):
        v->config_vector = usable_vector(v, value);
        return;
    case offsetof(struct Common, status):
        write_status(v, value);
        return;
    case offsetof(struct Common, queue_select):
        v->queue_select = value;
        return;
    }
    if (selected(v))
        write_queue(v, selected(v), offset, value);
}

/* The width of the field at the offset; 4 for each half of a 64-bit one; 0: none begins there. */
static unsigned field_width(uint64_t offset)
{
    if (offset < offsetof(struct Common, config_vector) ||
        offset >= offsetof(struct Common, queue_desc))
        return offset % 4 == 0 && offset < sizeof(struct Common) ? 4 : 0;
    if (offset == offsetof(struct Common, status) || offset == offsetof(struct Common, generation))
        return 1;
    return offset % 2 == 0 ? 2 : 0;
}

/* Writes have a field's own width; two halves at once are possible. */
static void write_common(struct Virtio *v, uint64_t offset, unsigned size, uint64_t value)
{
    if (size == 8 && offset >= offsetof(struct Common, queue_desc) && offset % 8 == 0) {
        write_common(v, offset, 4, value & 0xffffffff);
        write_common(v, offset + 4, 4, value >> 32);
    } else if (size == field_width(offset)) {
        write_field(v, offset, value);
    }
}

/* ---- Registers in memory ---- */

/* `size` bytes at the offset of an image of n bytes; 0 after its end. */
static uint64_t part_of(const void *image, size_t n, uint64_t offset, unsigned size)
{
    uint64_t value = 0;
    if (offset < n)
        memcpy(&value, (const char *)image + offset, MIN((size_t)size, n - offset));
    return value;
}

static uint64_t read_config(const struct Virtio *v, uint64_t offset, unsigned size)
{
    uint8_t bytes[VIRTIO_CONFIG] = { 0 };
    if (v->type->config)
        v->type->config(v, bytes);
    return part_of(bytes, v->type->config_size, offset, size);
}

static uint64_t read_isr(struct Virtio *v)
{
    uint8_t isr = v->isr;
    v->isr = 0;
    return isr;
}

uint64_t virtio_read(struct Device *d, uint64_t offset, unsigned size)
{
    struct Virtio *v = (struct Virtio *)d;
    if (offset >= MSIX_OFFSET)
        return msix_read(&v->msix, offset - MSIX_OFFSET, size);
    if (offset >= CONFIG_OFFSET)
        return read_config(v, offset - CONFIG_OFFSET, size);
    if (offset >= ISR_OFFSET)
        return offset == ISR_OFFSET ? read_isr(v) : 0;
    struct Common c = common_image(v);
    return part_of(&c, sizeof(c), offset, size);
}

void virtio_write(struct Device *d, uint64_t offset, unsigned size, uint64_t value)
{
    struct Virtio *v = (struct Virtio *)d;
    if (offset >= MSIX_OFFSET)
        msix_write(&v->msix, offset - MSIX_OFFSET, size, value);
    else if (offset >= CONFIG_OFFSET && offset - CONFIG_OFFSET < v->type->config_size &&
             v->type->write_config)
        v->type->write_config(v, offset - CONFIG_OFFSET, size, value);
    else if (offset < ISR_OFFSET)
        write_common(v, offset, size, value);
}

/* ---- The doorbell ---- */

static uint64_t doorbell_read(struct Device *d, uint64_t offset, unsigned size)
{
    (void)d;
    (void)offset;
    (void)size;
    return 0;
}

static void doorbell_write(struct Device *d, uint64_t offset, unsigned size, uint64_t value)
{
    if (offset == 0)
        notify(container_of(d, struct Virtio, doorbell), size == 1 ? value & 0xff : value & 0xffff);
}

static const struct DeviceKind doorbell_kind = {
    .name = "doorbell",
    .read = doorbell_read,
    .write = doorbell_write,
};

/* ---- Configuration space ---- */

static bool covers(unsigned first, unsigned size, unsigned reg, unsigned bytes)
{
    return first < reg + bytes && reg < first + size;
}

/* "PCI configuration access capability": which register its data stands for. false: none. */
static bool window(const struct Virtio *v, uint64_t *offset, unsigned *size, struct Device **d)
{
    const struct PciFunction *f = &v->pci;
    unsigned n = pci_get(f, v->window + VCAP_BAR, 1);
    uint32_t at = pci_get(f, v->window + VCAP_OFFSET, 4);
    uint32_t length = pci_get(f, v->window + VCAP_LENGTH, 4);
    if (n >= PCI_BARS || f->bars[n].size == 0 || (length != 1 && length != 2 && length != 4) ||
        at % length != 0 || at >= f->bars[n].size)
        return false;
    *offset = f->bars[n].offset + at;
    *size = length;
    *d = f->bars[n].device;
    return true;
}

static void before_config_read(struct PciFunction *f, unsigned first, unsigned size)
{
    struct Virtio *v = container_of(f, struct Virtio, pci);
    uint64_t offset;
    unsigned bytes;
    struct Device *d;
    if (covers(first, size, v->window + VCAP_DATA, 4) && window(v, &offset, &bytes, &d))
        pci_set(f, v->window + VCAP_DATA, 4, d->kind->read(d, offset, bytes));
}

static void config_written(struct PciFunction *f, unsigned first, unsigned size)
{
    struct Virtio *v = container_of(f, struct Virtio, pci);
    uint64_t offset;
    unsigned bytes;
    struct Device *d;
    msix_config_written(&v->msix, first, size);
    if (covers(first, size, v->window + VCAP_DATA, 4) && window(v, &offset, &bytes, &d))
        d->kind->write(d, offset, bytes, pci_get(f, v->window + VCAP_DATA, bytes));
}

static const struct PciHooks hooks = { before_config_read, config_written };

static unsigned add_capability(struct Virtio *v, uint8_t type, unsigned bar, uint32_t offset,
                               uint32_t length)
{
    bool large = type == CAP_NOTIFY || type == CAP_WINDOW;
    unsigned size = large ? VCAP_LARGE : VCAP_SIZE;
    unsigned at = pci_capability(&v->pci, CAP_VENDOR, size);
    pci_set(&v->pci, at + VCAP_LEN, 1, size);
    pci_set(&v->pci, at + VCAP_TYPE, 1, type);
    pci_set(&v->pci, at + VCAP_BAR, 1, bar);
    pci_set(&v->pci, at + VCAP_OFFSET, 4, offset);
    pci_set(&v->pci, at + VCAP_LENGTH, 4, length);
    return at;
}

static void add_capabilities(struct Virtio *v)
{
    const struct VirtioType *t = v->type;
    msix_init(&v->msix, &v->pci, t->nqueues + 1, MEMORY_BAR, MSIX_OFFSET);
    add_capability(v, CAP_COMMON, MEMORY_BAR, COMMON_OFFSET, sizeof(struct Common));
    add_capability(v, CAP_NOTIFY, DOORBELL_BAR, 0, DOORBELL_SIZE);
    add_capability(v, CAP_ISR, MEMORY_BAR, ISR_OFFSET, 1);
    if (t->config_size > 0)
        add_capability(v, CAP_CONFIG, MEMORY_BAR, CONFIG_OFFSET, t->config_size);
    v->window = add_capability(v, CAP_WINDOW, 0, 0, 0);
    memset(v->pci.writable + v->window + VCAP_BAR, 0xff, 1);
    memset(v->pci.writable + v->window + VCAP_OFFSET, 0xff, VCAP_LARGE - VCAP_OFFSET);
    v->msi = msi_init(&v->pci);
}

int virtio_add(struct Virtio *v, const struct VirtioType *type, const struct DeviceKind *kind,
               const struct VirtioPeer *peer)
{
    const struct PciIdentity id = {
        .vendor = VIRTIO_VENDOR,
        .device = DEVICE_IDS + type->id,
        .subsystem_vendor = VIRTIO_VENDOR,
        .subsystem = SUBSYSTEM,
        .revision = 1,
        .class = type->pci_class,
    };
    *v = (struct Virtio){
        .device.kind = kind, .doorbell.kind = &doorbell_kind, .type = type, .peer = peer
    };
    for (unsigned i = 0; i < type->nqueues; i++)
        v->queues[i] = (struct Queue){ .dma = peer->dma, .max = type->queue_max[i] };
    pci_begin(&v->pci, &id, &hooks);
    pci_bar(&v->pci, MEMORY_BAR, false, MEMORY_SIZE, &v->device, 0);
    pci_bar(&v->pci, DOORBELL_BAR, true, DOORBELL_SIZE, &v->doorbell, 0);
    add_capabilities(v);
    reset(v);
    return pci_plug(peer->pci, &v->pci);
}

/* ---- States ---- */

void virtio_save(const struct Virtio *v, struct VirtioState *s)
{
    *s = (struct VirtioState){
        .driver_features = v->driver_features,
        .device_select = v->device_select,
        .driver_select = v->driver_select,
        .queue_select = v->queue_select,
        .config_vector = v->config_vector,
        .status = v->status,
        .isr = v->isr,
        .generation = v->generation,
        .msix = v->msix.s,
    };
    for (unsigned i = 0; i < v->type->nqueues; i++)
        s->queues[i] = v->queues[i].s;
    memcpy(s->pci, v->pci.config, sizeof(s->pci));
}

/* Whether the parts that belong to nobody else are possible. */
static bool state_ok(const struct Virtio *v, const struct VirtioState *s)
{
    bool accepted = s->status & VIRTIO_FEATURES_OK;
    bool known = !(s->driver_features & ~offered(v)) && (s->driver_features & VIRTIO_F_VERSION_1);
    return !(s->status & ~(STATUS_BITS | VIRTIO_NEEDS_RESET)) && (!accepted || known) &&
           (accepted || !(s->status & VIRTIO_DRIVER_OK)) && !(s->isr & ~(ISR_QUEUE | ISR_CONFIG)) &&
           usable_vector(v, s->config_vector) == s->config_vector && s->pad == 0;
}

/* Of queues that the device has not got, nothing is kept. */
static bool queues_ok(const struct Virtio *v, const struct VirtioState *s)
{
    static const struct QueueState none;
    for (unsigned i = 0; i < v->type->nqueues; i++) {
        struct Queue q = v->queues[i];
        if (queue_load(&q, &s->queues[i]) < 0 || usable_vector(v, q.s.vector) != q.s.vector ||
            (q.s.enabled && !(s->status & VIRTIO_FEATURES_OK)))
            return false;
    }
    for (unsigned i = v->type->nqueues; i < VIRTIO_QUEUES; i++)
        if (memcmp(&s->queues[i], &none, sizeof(none)) != 0)
            return false;
    return true;
}

int virtio_load(struct Virtio *v, const struct VirtioState *s)
{
    struct Msix msix = v->msix;
    if (!state_ok(v, s) || !queues_ok(v, s) || msix_load(&msix, &s->msix) < 0 ||
        pci_load(&v->pci, s->pci) < 0)
        return -E_INVAL;
    v->msix = msix;
    v->driver_features = s->driver_features;
    v->device_select = s->device_select;
    v->driver_select = s->driver_select;
    v->queue_select = s->queue_select;
    v->config_vector = s->config_vector;
    v->status = s->status;
    v->isr = s->isr;
    v->generation = s->generation;
    for (unsigned i = 0; i < v->type->nqueues; i++) {
        v->queues[i].broken_by = NULL;
        v->queues[i].s = s->queues[i];
    }
    accept_features(v);
    return 0;
}
