/*
 * A split virtqueue (Virtual I/O Device specification 1.x, "Split Virtqueues"), seen from the
 * device. The guest may write to its rings at any moment and may fill them with anything: each
 * field is read once, and nothing is believed. What a driver must not do breaks the queue.
 */
#ifndef JOS_USER_VMM_DEV_VIRTIO_QUEUE_H
#define JOS_USER_VMM_DEV_VIRTIO_QUEUE_H

#include <user/vmm/dev/dma.h>

#define QUEUE_MAX 128 /* descriptors of a ring, and of a chain, at most */

/* What a save keeps. */
struct QueueState {
    uint64_t desc, avail, used; /* gpas of the three areas */
    uint16_t size;              /* a power of two, up to the queue's own maximum */
    uint16_t vector;            /* of MSI-X */
    uint16_t next;              /* index of the next entry of the available ring */
    uint16_t used_index;        /* of the next entry of the used ring */
    uint16_t signalled;         /* used_index at the last interrupt, or when none was needed */
    uint8_t enabled;
    uint8_t pad[5];
};
_Static_assert(sizeof(struct QueueState) == 40, "no bytes without a name in saved states");

struct Queue {
    struct Dma *dma;
    uint16_t max;          /* size that the device offers */
    bool event_idx;        /* VIRTIO_F_EVENT_IDX was negotiated */
    bool indirect;         /* VIRTIO_F_INDIRECT_DESC was negotiated */
    const char *broken_by; /* words about what the driver did; NULL: nothing is wrong */
    struct QueueState s;
};

/* Guest memory: all of it is RAM. */
struct QueuePiece {
    gpa_t gpa;
    uint32_t len; /* not 0 */
};

/* A chain of descriptors: what the device reads, and after that what it may write. */
struct Chain {
    uint16_t head; /* for queue_push */
    uint16_t nread, nwrite;
    uint64_t read_len, write_len; /* bytes in all */
    struct QueuePiece pieces[QUEUE_MAX];
};

/* Nothing but the maximum stays of a queue. */
void queue_reset(struct Queue *q);
/* The driver has enabled it: may the three areas be where it says? They are RAM, and aligned. */
bool queue_areas_ok(const struct Queue *q);

enum QueueResult {
    QUEUE_EMPTY,  /* the driver offers nothing; it will notify when it does */
    QUEUE_CHAIN,  /* here is the next chain */
    QUEUE_BROKEN, /* see broken_by */
};
/* Take the next chain that the driver offers. Its buffers are checked: each lies in RAM, and the
 * work to find them is bounded by QUEUE_MAX. */
enum QueueResult queue_pop(struct Queue *q, struct Chain *c);
/* Do not take the last chain after all: the next queue_pop finds it again. */
void queue_unpop(struct Queue *q);
/* Give a chain back, with the bytes that the device has written. false: the queue is broken. */
bool queue_push(struct Queue *q, uint16_t head, uint32_t written);
/* Does the driver want an interrupt for what was pushed since the last call? */
bool queue_wants_interrupt(struct Queue *q);

/* Copy n bytes from what a chain lets the device read, from byte `from` of it on; and to what it
 * may write. Fewer if the chain ends, or if a page cannot be had. Returns how many. */
size_t chain_read(struct Dma *d, const struct Chain *c, uint64_t from, void *buf, size_t n);
size_t chain_write(struct Dma *d, const struct Chain *c, uint64_t from, const void *buf, size_t n);

/* -E_INVAL: a state that this queue cannot have, and nothing has changed. */
int queue_load(struct Queue *q, const struct QueueState *s);

#endif
