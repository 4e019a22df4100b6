/*
 * virtio-rng: random bytes (Virtual I/O Device specification, "Entropy Device").
 */
#ifndef JOS_USER_VMM_DEV_VIRTIO_RNG_H
#define JOS_USER_VMM_DEV_VIRTIO_RNG_H

#include <user/vmm/dev/virtio/virtio.h>

/* Where they come from. */
struct RngPeer {
    void (*fill)(void *buf, size_t n);
};

struct VirtioRng {
    struct Virtio virtio;
    const struct RngPeer *random;
};

/* 0 or -E_*. */
int virtio_rng_add(struct VirtioRng *r, const struct VirtioPeer *peer,
                   const struct RngPeer *random);

#endif
