/*
 * What all virtio devices have in common: a PCI function with the registers of the PCI transport
 * (Virtual I/O Device specification 1.x, "Virtio Over PCI Bus"; the legacy interface is not there),
 * feature negotiation, status, and queues. A kind of device is a struct VirtioType; a device is a
 * struct of its own that begins with struct Virtio.
 *
 * Memory BAR 0 has the registers, and the MSI-X table in a page of its own. I/O BAR 1 is the
 * doorbell: a driver writes the number of a queue there, which takes it no more than an OUT.
 */
#ifndef JOS_USER_VMM_DEV_VIRTIO_VIRTIO_H
#define JOS_USER_VMM_DEV_VIRTIO_VIRTIO_H

#include <user/vmm/dev/pci/msi.h>
#include <user/vmm/dev/pci/msix.h>
#include <user/vmm/dev/pci/pci.h>
#include <user/vmm/dev/virtio/queue.h>

#define VIRTIO_QUEUES 4  /* at most */
#define VIRTIO_CONFIG 64 /* bytes of a kind's own configuration, at most */
#define VIRTIO_VENDOR 0x1af4

/* Features of all kinds */
#define VIRTIO_F_INDIRECT_DESC (1ul << 28)
#define VIRTIO_F_EVENT_IDX     (1ul << 29)
#define VIRTIO_F_VERSION_1     (1ul << 32)

/* Device status */
#define VIRTIO_ACKNOWLEDGE 1u
#define VIRTIO_DRIVER      2u
#define VIRTIO_DRIVER_OK   4u
#define VIRTIO_FEATURES_OK 8u
#define VIRTIO_NEEDS_RESET 64u
#define VIRTIO_FAILED      128u

struct Virtio;

struct VirtioType {
    const char *words;  /* "the disk": for sentences about it */
    uint16_t id;        /* virtio device type */
    uint32_t pci_class; /* 24 bits */
    uint64_t features;  /* offered, besides those of all kinds */
    unsigned nqueues;
    uint16_t queue_max[VIRTIO_QUEUES]; /* a power of two, at most QUEUE_MAX */
    unsigned config_size;              /* bytes of its own configuration */
    /* The driver has put something into the queue (and the device may take it: it is enabled, the
     * driver is ready, and DMA is on). */
    void (*notified)(struct Virtio *v, unsigned queue);
    /* Its own configuration as the driver sees it now. NULL: it has none. */
    void (*config)(const struct Virtio *v, uint8_t *bytes);
    /* NULL: there is nothing to write. */
    void (*write_config)(struct Virtio *v, uint64_t offset, unsigned size, uint64_t value);
    /* Back to the state at the start. What is in flight is forgotten. NULL: there is none. */
    void (*reset)(struct Virtio *v);
};

/* What virtio devices are connected to. */
struct VirtioPeer {
    struct PciHost *pci;
    struct Dma *dma;
    void (*tell)(const char *device, const char *words); /* a sentence for the user */
};

/* What a save keeps of all kinds. */
struct VirtioState {
    uint64_t driver_features;
    uint32_t device_select, driver_select; /* halves of the features */
    uint16_t queue_select, config_vector;
    uint8_t status, isr, generation, pad;
    struct QueueState queues[VIRTIO_QUEUES];
    struct MsixState msix;
    uint8_t pci[PCI_CONFIG];
};

struct Virtio {
    struct Device device; /* the registers in memory; its kind saves the whole */
    struct Device doorbell;
    struct PciFunction pci;
    struct Msix msix;
    unsigned msi; /* the capability's register */
    const struct VirtioType *type;
    const struct VirtioPeer *peer;
    struct Queue queues[VIRTIO_QUEUES];
    uint64_t driver_features;
    uint32_t device_select, driver_select;
    uint16_t queue_select, config_vector;
    uint8_t status, isr, generation;
    bool told;       /* the sentence about a broken queue */
    unsigned left;   /* chains that the device may take before the notification under way ends */
    unsigned window; /* the capability for access through configuration space */
};

/* Make it, and plug it into the peer's PCI bus. kind: read and write are virtio_read and
 * virtio_write, and what it saves begins with a struct VirtioState. 0 or -E_*. */
int virtio_add(struct Virtio *v, const struct VirtioType *type, const struct DeviceKind *kind,
               const struct VirtioPeer *peer);
/* The registers in memory, for struct DeviceKind. */
uint64_t virtio_read(struct Device *d, uint64_t offset, unsigned size);
void virtio_write(struct Device *d, uint64_t offset, unsigned size, uint64_t value);
void virtio_save(const struct Virtio *v, struct VirtioState *s);
/* -E_INVAL: nothing has changed. */
int virtio_load(struct Virtio *v, const struct VirtioState *s);

/* ---- For the kinds ---- */

static inline bool virtio_has(const struct Virtio *v, uint64_t feature)
{
    return v->driver_features & feature;
}
/* May the device use the queue now? */
bool virtio_is_live(const struct Virtio *v, unsigned queue);
/* Take the next chain of a live queue. false: there is none, or the queue is broken, after which
 * the device needs a reset and says so. A queue that is still not empty after many times its size
 * in one notification is broken, too. */
bool virtio_pop(struct Virtio *v, unsigned queue, struct Chain *c);
/* Give it back, with the bytes written. No interrupt yet. */
void virtio_push(struct Virtio *v, unsigned queue, uint16_t head, uint32_t written);
/* Interrupt for what was pushed, if the driver wants that. */
void virtio_signal(struct Virtio *v, unsigned queue);
/* What `config` gives has changed: tell the driver. */
void virtio_config_changed(struct Virtio *v);
/* The driver has done what it must not do: the device needs a reset. */
void virtio_broken(struct Virtio *v, const char *words);

#endif
