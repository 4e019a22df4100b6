/*
 * A disk by virtio-blk, for test guests ("Block Device").
 */
#ifndef JOS_USER_GUESTS_VBLK_H
#define JOS_USER_GUESTS_VBLK_H

#include "virtio.h"

#define VBLK_VECTOR 0x50
#define SECTOR      512

enum {
    T_IN = 0,
    T_OUT = 1,
    T_FLUSH = 4,
    T_GET_ID = 8,
    T_DISCARD = 11,
    T_WRITE_ZEROES = 13,
};
enum {
    S_OK = 0,
    S_IOERR = 1,
    S_UNSUPP = 2,
    S_NONE = 0xff, /* nothing was written there */
};
#define F_RO           (1ul << 5)
#define F_FLUSH        (1ul << 9)
#define F_DISCARD      (1ul << 13)
#define F_WRITE_ZEROES (1ul << 14)
#define F_USUAL        (F_FLUSH | F_DISCARD | F_WRITE_ZEROES)

struct VblkHeader {
    uint32_t type, reserved;
    uint64_t sector;
};
struct VblkSegment {
    uint64_t sector;
    uint32_t count, flags;
};

#define VBLK_DEPTH 32 /* requests at a time */

struct Vblk {
    struct Vdev dev;
    struct Vq vq;
    uint64_t sectors;
    struct VblkHeader header[VBLK_DEPTH];
    volatile uint8_t status[VBLK_DEPTH];
};

/* The nth disk, reset, with these features, ready for requests. false, after a sentence. */
bool vblk_open(struct Vblk *b, unsigned nth, uint64_t features);
/* Put request i (below VBLK_DEPTH) into the ring: its descriptors are 4i to 4i + 2. */
void vblk_put(struct Vblk *b, unsigned i, uint32_t type, uint64_t sector, void *data, uint32_t n);
/* Tell the device; the same, and sleep until n requests have come back. */
void vblk_kick(const struct Vblk *b);
void vblk_wait(struct Vblk *b, unsigned n);
/* How many have come back that vblk_next has not given out, and the head of the next of these. */
unsigned vblk_done(const struct Vblk *b);
uint16_t vblk_next(struct Vblk *b, uint32_t *len);
/* One request, alone. Returns its status. */
unsigned vblk_do(struct Vblk *b, uint32_t type, uint64_t sector, void *data, uint32_t n);

#endif
