/*
 * virtio-net: what the driver sends goes to the peer frame by frame, and frames from there go into
 * the driver's buffers, one buffer for each.
 */
#include <inc/error.h>
#include <inc/string.h>
#include <user/vmm/dev/virtio/net.h>

#define RECEIVE  0
#define TRANSMIT 1

#define F_MAC    (1ul << 5)
#define F_STATUS (1ul << 16)
#define LINK_UP  1u

/* Before each frame. No offload is negotiated, so all of it is 0 but num_buffers. */
struct Header {
    uint8_t flags, gso_type;
    uint16_t hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};
_Static_assert(sizeof(struct Header) == 12, "virtio-net header");

struct Config {
    uint8_t mac[NET_MAC];
    uint16_t status;
};
_Static_assert(sizeof(struct Config) <= VIRTIO_CONFIG, "virtio-net configuration");

static void send(struct VirtioNet *n, const struct Chain *c)
{
    char frame[NET_FRAME_MAX];
    uint64_t len = c->read_len - sizeof(struct Header);
    if (c->read_len < sizeof(struct Header) + NET_FRAME_MIN || len > sizeof(frame) ||
        chain_read(n->virtio.peer->dma, c, sizeof(struct Header), frame, len) != len) {
        n->malformed++;
        return;
    }
    n->sent++;
    n->net->sent(n->net->to, frame, len);
}

static void notified(struct Virtio *v, unsigned queue)
{
    struct VirtioNet *n = (struct VirtioNet *)v;
    struct Chain c;
    if (queue == RECEIVE) {
        n->net->has_room(n->net->to);
        return;
    }
    while (virtio_pop(v, TRANSMIT, &c)) {
        send(n, &c);
        virtio_push(v, TRANSMIT, c.head, 0);
    }
    n->net->flush(n->net->to);
    virtio_signal(v, TRANSMIT);
}

bool virtio_net_receive(struct VirtioNet *n, const void *frame, size_t len)
{
    struct Virtio *v = &n->virtio;
    const struct Header h = { .num_buffers = 1 };
    struct Chain c;
    if (!virtio_is_live(v, RECEIVE))
        return false;
    dma_refresh(v->peer->dma);
    if (!virtio_pop(v, RECEIVE, &c)) {
        n->refused++;
        return false;
    }
    if (c.write_len < sizeof(h) + len) {
        virtio_broken(v, "a receive buffer is too small for a frame");
        return false;
    }
    size_t done = chain_write(v->peer->dma, &c, 0, &h, sizeof(h));
    done += chain_write(v->peer->dma, &c, sizeof(h), frame, len);
    virtio_push(v, RECEIVE, c.head, done);
    n->received++;
    return true;
}

void virtio_net_flush(struct VirtioNet *n)
{
    virtio_signal(&n->virtio, RECEIVE);
}

static void config(const struct Virtio *v, uint8_t *bytes)
{
    struct Config c = { .status = LINK_UP };
    memcpy(c.mac, ((const struct VirtioNet *)v)->mac, sizeof(c.mac));
    memcpy(bytes, &c, sizeof(c));
}

static const struct VirtioType type = {
    .words = "the network card",
    .id = 1,
    .pci_class = 0x020000,
    .features = F_MAC | F_STATUS,
    .nqueues = 2,
    .queue_max = { [RECEIVE] = 128, [TRANSMIT] = 128 },
    .config_size = sizeof(struct Config),
    .notified = notified,
    .config = config,
};

struct SavedNet {
    struct VirtioState virtio;
    uint8_t mac[NET_MAC];
    uint8_t pad[2];
};

static void net_save(const struct Device *d, void *state)
{
    struct SavedNet s = { .pad = { 0 } };
    virtio_save((const struct Virtio *)d, &s.virtio);
    memcpy(s.mac, ((const struct VirtioNet *)d)->mac, sizeof(s.mac));
    memcpy(state, &s, sizeof(s));
}

static int net_load(struct Device *d, const void *state)
{
    struct SavedNet s;
    memcpy(&s, state, sizeof(s));
    int r = s.pad[0] | s.pad[1] ? -E_INVAL : virtio_load((struct Virtio *)d, &s.virtio);
    if (r == 0)
        memcpy(((struct VirtioNet *)d)->mac, s.mac, sizeof(s.mac));
    return r;
}

static const struct DeviceKind kind = {
    .name = "vnet",
    .read = virtio_read,
    .write = virtio_write,
    .save = net_save,
    .load = net_load,
    .version = 1,
    .size = sizeof(struct SavedNet),
};

int virtio_net_add(struct VirtioNet *n, const struct VirtioPeer *peer, const struct NetPeer *net,
                   const uint8_t mac[NET_MAC])
{
    n->net = net;
    memcpy(n->mac, mac, sizeof(n->mac));
    n->sent = n->received = n->refused = n->malformed = 0;
    return virtio_add(&n->virtio, &type, &kind, peer);
}

/* ---- The loop back ---- */

static void give_back(void *to, const void *frame, size_t len)
{
    virtio_net_receive(to, frame, len);
}

static void flush_back(void *to)
{
    virtio_net_flush(to);
}

static void no_more(void *to)
{
    (void)to; /* what found no room is lost */
}

void net_loopback(struct NetPeer *peer, struct VirtioNet *n)
{
    *peer = (struct NetPeer){ give_back, flush_back, no_more, n };
}
