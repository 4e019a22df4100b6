/*
 * Coalesced output of a UART: what a guest writes to the data register is collected in a ring that
 * the kernel shares with the monitor (struct GuestSerial), and the read of the line status that
 * comes with each byte is answered here, so that the monitor is not needed for every byte. It takes
 * what is there whenever the guest stops for it, when the ring is full, and when a byte has waited
 * for a while. The monitor may write to the ring's page at any time: no more than one byte at an
 * index within the ring depends on what is there.
 *
 * Inline, since this is on the road of exits.
 */
#ifndef JOS_VMM_SERIAL_H
#define JOS_VMM_SERIAL_H

#include <inc/once.h>
#include <inc/uart.h>
#include <inc/vmm.h>
#include <vmm/stop.h>
#include <vmm/vcpu.h>

/* Is something in the ring? */
static inline bool serial_has_output(const struct Vcpu *v)
{
    return v->serial && v->serial_head != READ_ONCE(v->serial->tail);
}

static inline bool serial_collect(struct Vcpu *v, uint8_t byte)
{
    struct GuestSerial *s = v->serial;
    uint32_t used = v->serial_head - READ_ONCE(s->tail);
    if (!READ_ONCE(s->open) || used >= GUEST_SERIAL_RING)
        return false;
    s->ring[v->serial_head % GUEST_SERIAL_RING] = byte;
    __atomic_store_n(&s->head, ++v->serial_head, __ATOMIC_RELEASE);
    v->serial_answers = true;
    if (used == 0)
        guest_has_output(v);
    return true;
}

/* One read for each byte: a guest that reads on waits for something, and the monitor has to know.
 */
static inline bool serial_status(struct Vcpu *v, uint64_t *rax)
{
    if (!v->serial_answers)
        return false;
    v->serial_answers = false;
    *rax = (*rax & ~0xfful) | READ_ONCE(v->serial->lsr);
    return true;
}

/* IN or OUT of `size` bytes at a port. true: it is done; RAX has the result of IN. */
static inline bool serial_access(struct Vcpu *v, uint16_t port, uint32_t size, bool in,
                                 uint64_t *rax)
{
    if (__builtin_expect(!v->serial, 0))
        return false;
    uint16_t reg = port - READ_ONCE(v->serial->port);
    if (reg > COM_LSR || size != 1)
        return false;
    if (reg == COM_DATA && !in)
        return serial_collect(v, *rax);
    if (reg == COM_LSR && in)
        return serial_status(v, rax);
    return false;
}

#endif
