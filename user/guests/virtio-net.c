/*
 * virtio-net: a card whose network gives back what is sent. Frames come back whole, in order, by
 * one buffer or several; those that are no frames are lost, and so are frames without room. With
 * the word "bare" it passes over what QEMU's card does in its own way: it lets frames wait for
 * room, and leaves num_buffers 0 where buffers are not merged, in spite of virtio's "Processing of
 * Incoming Packets".
 */
#include "virtio.h"

const char guest_name[] = "virtio-net";

#define HEADER   12
#define FRAME    1514
#define FRAMES   40
#define ROOM     1600
#define F_MAC    (1ul << 5)
#define RECEIVE  0
#define TRANSMIT 1

static struct Vdev dev;
static struct Vq rx, tx;
static uint8_t in[FRAMES][ROOM], out[ROOM];

static uint8_t pattern(unsigned frame, unsigned i)
{
    return frame * 37 + i * 11 + i / 256;
}

static void start(uint64_t features)
{
    dev_negotiate(&dev, F_MAC | features);
    vq_init(&rx, &dev, RECEIVE, NO_VECTOR);
    vq_init(&tx, &dev, TRANSMIT, NO_VECTOR);
    dev_ready(&dev);
}

static void give_room(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        vq_desc(&rx, i, in[i], ROOM, DESC_WRITE, 0);
        vq_offer(&rx, i);
    }
    vq_kick(&rx);
}

/* A frame of len bytes, in pieces of which the header is the first. */
static void send(unsigned frame, unsigned len)
{
    memset(out, 0, HEADER);
    for (unsigned i = 0; i < len; i++)
        out[HEADER + i] = pattern(frame, i);
    unsigned half = len / 2;
    vq_desc(&tx, 0, out, HEADER, DESC_NEXT, 1);
    vq_desc(&tx, 1, out + HEADER, half, DESC_NEXT, 2);
    vq_desc(&tx, 2, out + HEADER + half, len - half, 0, 0);
    vq_offer(&tx, 0);
    vq_kick(&tx);
    check(vq_wait(&tx) >= 0, "frame %u is not taken", frame);
}

static void expect(unsigned frame, unsigned len)
{
    unsigned n = rx.seen % rx.size;
    int64_t got = vq_wait(&rx);
    check(got == HEADER + (int64_t)len, "frame %u comes with %ld bytes", frame, got);
    if (got < 0)
        return;
    const uint8_t *p = in[rx.used.ring[n].id];
    check(cmdline_has("bare") || (p[10] == 1 && p[11] == 0), "num_buffers of frame %u", frame);
    for (unsigned i = 0; i < len; i++)
        if (p[HEADER + i] != pattern(frame, i)) {
            check_failed("byte %u of frame %u", i, frame);
            return;
        }
}

static void try_config(void)
{
    uint8_t mac[6], others = 0;
    trying("its address");
    start(0);
    check(dev_features(&dev) & F_MAC, "it has none");
    for (unsigned i = 0; i < 6; i++)
        others |= mac[i] = mmio_read(dev.config + i, 1);
    check(!(mac[0] & 1) && others != 0, "the first byte is 0x%x", mac[0]);
    check(mmio_read(dev.config, 4) ==
              (mac[0] | mac[1] << 8 | mac[2] << 16 | (uint32_t)mac[3] << 24),
          "four bytes at once");
}

static void try_frames(void)
{
    static const unsigned sizes[] = { 14, 15, 60, 64, 1000, 1514 };
    trying("frames of all sizes");
    start(0);
    give_room(FRAMES);
    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        send(i, sizes[i]);
        expect(i, sizes[i]);
    }
}

static void try_lost(void)
{
    if (cmdline_has("bare"))
        return;
    trying("frames without room, and those that are too long or too short");
    start(0);
    send(1, 100);
    check(!vq_has_used(&rx), "one came without room");
    give_room(2);
    send(2, 13);
    send(3, FRAME + 6);
    check(!vq_has_used(&rx), "one came that is no frame");
    send(4, 200);
    expect(4, 200);
}

/* Many at once, by one doorbell. The driver hears of all. */
static void try_many(void)
{
    trying("many frames by one doorbell");
    start(F_EVENT_IDX);
    give_room(FRAMES);
    memset(out, 0, HEADER);
    for (unsigned i = 0; i < 60; i++)
        out[HEADER + i] = pattern(0, i);
    for (unsigned i = 0; i < FRAMES; i++) {
        vq_desc(&tx, i, out, HEADER + 60, 0, 0);
        vq_offer(&tx, i);
    }
    vq_kick(&tx);
    for (unsigned i = 0; i < FRAMES; i++)
        expect(0, 60);
}

/* Descriptors in a table of their own. */
static void try_indirect(void)
{
    static struct VqDesc table[3];
    trying("indirect descriptors");
    start(F_INDIRECT);
    give_room(1);
    memset(out, 0, HEADER);
    for (unsigned i = 0; i < 90; i++)
        out[HEADER + i] = pattern(7, i);
    for (unsigned i = 0; i < 3; i++)
        table[i] = (struct VqDesc){ (uint64_t)out + i * 34, 34, i < 2 ? DESC_NEXT : 0, i + 1 };
    vq_desc(&tx, 5, table, sizeof(table), DESC_TABLE, 0);
    vq_offer(&tx, 5);
    vq_kick(&tx);
    check(vq_wait(&tx) >= 0, "it is not taken");
    expect(7, 90);
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    if (dev_find(&dev, VIRTIO_NET)) {
        try_config();
        try_frames();
        try_lost();
        try_many();
        try_indirect();
    }
    return check_result();
}
