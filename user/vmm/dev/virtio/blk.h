/*
 * virtio-blk (Virtual I/O Device specification 1.x, "Block Device"): a disk with one queue. What
 * can be done at once is; a request that has to wait for the disk below lets others go on, so that
 * several are in flight and may end in any order.
 */
#ifndef JOS_USER_VMM_DEV_VIRTIO_BLK_H
#define JOS_USER_VMM_DEV_VIRTIO_BLK_H

#include <user/vmm/dev/virtio/virtio.h>

#define BLK_SECTOR 512
#define BLK_BLOCK  4096 /* of the disk below: what is asked of it lies in one */
#define BLK_PAGES  16   /* that `now` takes at a time */
#define BLK_FLIGHT 16   /* requests that may be underway */
#define BLK_SERIAL 20   /* bytes of a serial number; a shorter one ends with a 0 */
#define BLK_DISCARD \
    8192            /* sectors that one segment of a discard or write-zeroes request may have */
#define BLK_SEGS 16 /* such segments in a request */

/* What is asked of the disk below. */
enum BlkOp {
    BLK_READ,
    BLK_WRITE,
    BLK_FLUSH,
    BLK_DISCARD_OP,
    BLK_ZERO,
    BLK_ZERO_UNMAP, /* space may be given back */
};

struct Blk;
struct BlkRequest;

/* The disk below. Sectors lie within the disk, and for BLK_READ and BLK_WRITE in one block, unless
 * `now` says otherwise. */
struct BlkPeer {
    /* BLK_READ or BLK_WRITE, with as many pages of writable memory as that takes: up to BLK_PAGES
     * blocks if they are whole. Returns how many sectors are done, perhaps not all; -E_AGAIN: none,
     * since it would take long; another -E_*: it cannot be done. */
    int (*now)(void *to, enum BlkOp op, uint64_t sector, unsigned n, void *pages);
    /* Page for the data of the next `later`. NULL: too much is underway; blk_run comes when it is
     * not. */
    void *(*page)(void *to);
    /* Do all of it, with that page, and call blk_answer for the request. */
    void (*later)(void *to, enum BlkOp op, uint64_t sector, unsigned n, struct BlkRequest *r);
    /* Call blk_run soon, with other things done in between. */
    void (*nudge)(void *to);
    void *to;
    void *bounce; /* a writable page for `now`, whose contents do not matter */
};

struct BlkSetup {
    uint64_t sectors;
    bool read_only;
    char serial[BLK_SERIAL];
};

enum BlkState {
    BLK_FREE,
    BLK_READY,  /* to be gone on with */
    BLK_WAITS,  /* for blk_answer */
    BLK_ORPHAN, /* likewise, but the device was reset, and nobody wants the answer */
};

struct BlkRequest {
    struct Blk *blk;
    enum BlkState state;
    uint32_t type;   /* VIRTIO_BLK_T_* */
    uint64_t sector; /* where it goes on */
    uint64_t left;   /* bytes of data, or sectors of this segment, that are left */
    uint64_t at;     /* bytes of the chain's data that are done */
    unsigned piece;  /* of the chain, the one where the data goes on, and where in it */
    uint32_t offset;
    unsigned n;     /* sectors that are asked for */
    uint32_t flags; /* of this segment */
    bool flushing;  /* after a write, since the driver does not flush */
    struct Chain chain;
};

struct Blk {
    struct Virtio virtio;
    struct BlkSetup setup;
    const struct BlkPeer *peer;
    int budget;       /* blocks and requests that may still be done for this event */
    unsigned ready;   /* requests in this state */
    unsigned orphans; /* requests in flight that a reset has left behind */
    struct BlkRequest requests[BLK_FLIGHT];
};

/* The state that is saved. Requests in flight are not: see blk_is_idle. */
struct BlkSaved {
    struct VirtioState virtio;
};

/* Make it, and plug it into the bus. 0 or -E_*. */
int blk_add(struct Blk *b, const struct BlkSetup *setup, const struct BlkPeer *peer,
            const struct VirtioPeer *virtio_peer);
/* The request of a `later` is done, with this page; result < 0: -E_*. */
void blk_answer(struct BlkRequest *r, int result, void *page);
/* Go on with what waits: after answers, for all disks below which there is the same server. */
void blk_run(struct Blk *b);
/* Nothing is in flight, so that a saved state is all of it. */
bool blk_is_idle(const struct Blk *b);

#endif
