/*
 * What test guests need to drive a virtio device on PCI: find it, negotiate, one split queue, MSI-X
 * (Virtual I/O Device specification 1.x, "Virtio Over PCI Bus", "Split Virtqueues").
 */
#ifndef JOS_USER_GUESTS_VIO_H
#define JOS_USER_GUESTS_VIO_H

#include "rt.h"

#define VIO_QUEUE 128 /* entries at most */

#define VIO_F_INDIRECT  (1ul << 28)
#define VIO_F_EVENT_IDX (1ul << 29)
#define VIO_F_VERSION_1 (1ul << 32)

#define VIO_NEEDS_RESET 64

struct VioDesc {
    uint64_t addr;
    uint32_t len;
    uint16_t flags, next;
};
#define VIO_NEXT     1
#define VIO_WRITE    2
#define VIO_INDIRECT 4

struct VioAvail {
    uint16_t flags, index, ring[VIO_QUEUE], used_event;
};
struct VioUsed {
    uint16_t flags, index;
    struct {
        uint32_t id, len;
    } ring[VIO_QUEUE];
    uint16_t avail_event;
};

struct Vio {
    unsigned slot;             /* on PCI bus 0 */
    volatile uint8_t *common, *isr, *config;
    volatile uint32_t *msix; /* the table */
    uint16_t doorbell;       /* port */
    uint64_t features;       /* accepted */
    struct VioDesc *desc;
    volatile struct VioAvail *avail;
    volatile struct VioUsed *used;
    unsigned size;
    uint16_t seen; /* of the used ring */
};

uint32_t pci_read(unsigned slot, unsigned reg);
void pci_write(unsigned slot, unsigned reg, uint32_t value);

/* The nth virtio device of this type, with its registers mapped. false: there is none. */
bool vio_find(struct Vio *v, unsigned type, unsigned nth);
/* Reset, and negotiate these features (and VIRTIO_F_VERSION_1). false: refused. */
bool vio_negotiate(struct Vio *v, uint64_t features);
uint64_t vio_offered(struct Vio *v);
uint8_t vio_status(const struct Vio *v);
void vio_reset(struct Vio *v);
/* Set queue 0 up, with size entries and interrupts at this vector, and go. */
void vio_start(struct Vio *v, unsigned size, uint8_t vector);
/* Where the three areas of the queue are; vio_start chooses good places otherwise. */
void vio_place(struct Vio *v, uint64_t desc, uint64_t avail, uint64_t used);

static inline uint8_t vio_config8(const struct Vio *v, unsigned offset)
{
    return v->config[offset];
}
static inline uint32_t vio_config32(const struct Vio *v, unsigned offset)
{
    return *(volatile uint32_t *)(v->config + offset);
}
static inline uint64_t vio_config64(const struct Vio *v, unsigned offset)
{
    return vio_config32(v, offset) | (uint64_t)vio_config32(v, offset + 4) << 32;
}

/* Offer the chain that begins with this descriptor; the device hears of it with vio_kick. */
static inline void vio_offer(struct Vio *v, uint16_t head)
{
    v->avail->ring[v->avail->index & (v->size - 1)] = head;
    asm volatile("" ::: "memory");
    v->avail->index++;
}
static inline void vio_kick(const struct Vio *v)
{
    outw(v->doorbell, 0);
}
/* How many chains came back that vio_next has not given out. */
static inline uint16_t vio_done(const struct Vio *v)
{
    return v->used->index - v->seen;
}
/* The next of them: its head. */
uint16_t vio_next(struct Vio *v, uint32_t *len);

#endif
