/*
 * virtio-rng: one queue, whose buffers it fills.
 */
#include <user/vmm/dev/virtio/rng.h>

#define REQUEST 0
/* Bytes for one buffer: the device may write fewer than there is room for. */
#define MOST_BYTES 256

static void notified(struct Virtio *v, unsigned queue)
{
    const struct VirtioRng *r = (const struct VirtioRng *)v;
    struct Chain c;
    char bytes[MOST_BYTES];
    while (virtio_pop(v, queue, &c)) {
        size_t n = MIN(c.write_len, sizeof(bytes));
        r->random->fill(bytes, n);
        virtio_push(v, queue, c.head, chain_write(v->peer->dma, &c, 0, bytes, n));
    }
    virtio_signal(v, queue);
}

static const struct VirtioType type = {
    .words = "the random number generator",
    .id = 4,
    .pci_class = 0x00ff00,
    .nqueues = 1,
    .queue_max = { [REQUEST] = 8 },
    .notified = notified,
};

static void rng_save(const struct Device *d, void *state)
{
    virtio_save((const struct Virtio *)d, state);
}

static int rng_load(struct Device *d, const void *state)
{
    return virtio_load((struct Virtio *)d, state);
}

static const struct DeviceKind kind = {
    .name = "vrng",
    .read = virtio_read,
    .write = virtio_write,
    .save = rng_save,
    .load = rng_load,
    .version = 1,
    .size = sizeof(struct VirtioState),
};

int virtio_rng_add(struct VirtioRng *r, const struct VirtioPeer *peer, const struct RngPeer *random)
{
    r->random = random;
    return virtio_add(&r->virtio, &type, &kind, peer);
}
