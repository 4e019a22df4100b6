/*
 * A disk by virtio-blk: requests in a ring, and a sleep until they are done.
 */
#include "vblk.h"

static volatile unsigned interrupts;

static void on_disk(struct Trapframe *tf)
{
    (void)tf;
    interrupts++;
    wrmsr(X2APIC_EOI, 0);
}

bool vblk_open(struct Vblk *b, unsigned nth, uint64_t features)
{
    if (!vio_find(&b->vio, VBLK_TYPE, nth)) {
        check_failed("there is no disk %u", nth);
        return false;
    }
    uint64_t offered = vio_offered(&b->vio);
    if (!vio_negotiate(&b->vio, features & offered)) {
        check_failed("features %lx of %lx are refused", features, offered);
        return false;
    }
    trap_handlers[VBLK_VECTOR] = on_disk;
    vio_start(&b->vio, VIO_QUEUE, VBLK_VECTOR);
    b->sectors = vio_config64(&b->vio, 0);
    return true;
}

void vblk_put(struct Vblk *b, unsigned i, uint32_t type, uint64_t sector, void *data, uint32_t n)
{
    struct VioDesc *d = &b->vio.desc[4 * i];
    uint16_t write = type == T_IN || type == T_GET_ID ? VIO_WRITE : 0;
    b->header[i] = (struct VblkHeader){ type, 0, sector };
    b->status[i] = S_NONE;
    *d = (struct VioDesc){ (uint64_t)&b->header[i], sizeof(b->header[i]), VIO_NEXT, 4 * i + 1 };
    if (n > 0) {
        d[1] = (struct VioDesc){ (uint64_t)data, n, VIO_NEXT | write, 4 * i + 2 };
        d++;
    }
    d[1] = (struct VioDesc){ (uint64_t)&b->status[i], 1, VIO_WRITE, 0 };
    vio_offer(&b->vio, 4 * i);
}

void vblk_wait(struct Vblk *b, unsigned n)
{
    vio_kick(&b->vio);
    while (vio_done(&b->vio) < n)
        asm volatile("sti; hlt; cli" ::: "memory");
}

unsigned vblk_do(struct Vblk *b, uint32_t type, uint64_t sector, void *data, uint32_t n)
{
    uint32_t len;
    vblk_put(b, 0, type, sector, data, n);
    vblk_wait(b, 1);
    uint16_t head = vio_next(&b->vio, &len);
    check(head == 0, "chain %u came back, not 0", head);
    return b->status[0];
}
