/*
 * A disk by virtio-blk: requests in a ring, and a sleep until they are done.
 */
#include "vblk.h"

static volatile unsigned interrupts;

static void on_disk(struct Trapframe *tf)
{
    (void)tf;
    interrupts++;
    apic_eoi();
}

bool vblk_open(struct Vblk *b, unsigned nth, uint64_t features)
{
    if (!dev_find_nth(&b->dev, VIRTIO_BLK, nth))
        return false;
    trap_handlers[VBLK_VECTOR] = on_disk;
    dev_negotiate(&b->dev, features);
    dev_msix(&b->dev, 0, VBLK_VECTOR);
    if (!vq_init(&b->vq, &b->dev, 0, 0))
        return false;
    dev_ready(&b->dev);
    b->sectors = mmio_read(b->dev.config, 4) | (uint64_t)mmio_read(b->dev.config + 4, 4) << 32;
    return true;
}

void vblk_put(struct Vblk *b, unsigned i, uint32_t type, uint64_t sector, void *data, uint32_t n)
{
    uint16_t at = 4 * i, write = type == T_IN || type == T_GET_ID ? DESC_WRITE : 0;
    b->header[i] = (struct VblkHeader){ type, 0, sector };
    b->status[i] = S_NONE;
    vq_desc(&b->vq, at, &b->header[i], sizeof(b->header[i]), DESC_NEXT, at + 1);
    if (n > 0)
        vq_desc(&b->vq, at + 1, data, n, DESC_NEXT | write, at + 2);
    vq_desc(&b->vq, at + 1 + (n > 0), (void *)&b->status[i], 1, DESC_WRITE, 0);
    vq_offer(&b->vq, at);
}

void vblk_kick(const struct Vblk *b)
{
    if (b->dev.notify_io)
        outw(b->dev.notify, 0);
    else
        vq_kick(&b->vq);
}

unsigned vblk_done(const struct Vblk *b)
{
    return (uint16_t)(*(volatile uint16_t *)&b->vq.used.index - b->vq.seen);
}

uint16_t vblk_next(struct Vblk *b, uint32_t *len)
{
    unsigned i = b->vq.seen++ % b->vq.size;
    *len = b->vq.used.ring[i].len;
    return b->vq.used.ring[i].id;
}

void vblk_wait(struct Vblk *b, unsigned n)
{
    vblk_kick(b);
    while (vblk_done(b) < n)
        asm volatile("sti; hlt; cli" ::: "memory");
}

unsigned vblk_do(struct Vblk *b, uint32_t type, uint64_t sector, void *data, uint32_t n)
{
    uint32_t len;
    vblk_put(b, 0, type, sector, data, n);
    vblk_wait(b, 1);
    uint16_t head = vblk_next(b, &len);
    check(head == 0, "chain %u came back, not 0", head);
    return b->status[0];
}
