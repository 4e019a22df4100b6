/*
 * virtio-net: a network card with one queue each way and no offloads (Virtual I/O Device
 * specification, "Network Device"). Frames have neither preamble nor check sum.
 */
#ifndef JOS_USER_VMM_DEV_VIRTIO_NET_H
#define JOS_USER_VMM_DEV_VIRTIO_NET_H

#include <user/vmm/dev/virtio/virtio.h>

#define NET_MAC       6
#define NET_FRAME_MIN 14   /* bytes: both addresses, and the type */
#define NET_FRAME_MAX 1518 /* with a VLAN tag */

struct VirtioNet;

/* The network. */
struct NetPeer {
    /* The guest has sent a frame of NET_FRAME_MIN to NET_FRAME_MAX bytes. */
    void (*sent)(void *to, const void *frame, size_t len);
    /* After one or more of them: the guest has nothing more to send now. */
    void (*flush)(void *to);
    /* The guest has given room for frames to receive: what was refused may be offered again. */
    void (*has_room)(void *to);
    void *to;
};

struct VirtioNet {
    struct Virtio virtio;
    const struct NetPeer *net;
    uint8_t mac[NET_MAC];
    uint64_t sent, received, refused, malformed; /* frames; malformed: too long or too short */
};

/* 0 or -E_*. */
int virtio_net_add(struct VirtioNet *n, const struct VirtioPeer *peer, const struct NetPeer *net,
                   const uint8_t mac[NET_MAC]);
/* A frame for the guest. false: it has no room for it. */
bool virtio_net_receive(struct VirtioNet *n, const void *frame, size_t len);
/* After one or more of them: tell the guest. */
void virtio_net_flush(struct VirtioNet *n);

/* A network that nobody else is on, and that gives back what is sent. */
void net_loopback(struct NetPeer *peer, struct VirtioNet *n);

#endif
