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
    return v->serial && READ_ONCE(v->serial->head) != READ_ONCE(v->serial->tail);
}

static inline bool serial_collect(struct Vcpu *v, struct GuestSerial *s, uint8_t byte)
{
    uint32_t head = READ_ONCE(s->head), used = head - READ_ONCE(s->tail);
    if (used >= GUEST_SERIAL_RING)
        return false;
    s->ring[head % GUEST_SERIAL_RING] = byte;
    /* Before it is asked whether the monitor has yet to take what is there: it may be doing that.
     */
    __atomic_store_n(&s->head, head + 1, __ATOMIC_SEQ_CST);
    v->serial_answers = true;
    if (__builtin_expect(!READ_ONCE(v->serial_waits), 0))
        guest_has_output(v);
    return true;
}

/* One read for each byte: a guest that reads on waits for something, and the monitor has to know.
 */
static inline bool serial_status(struct Vcpu *v, const struct GuestSerial *s, uint64_t *rax)
{
    if (!v->serial_answers)
        return false;
    v->serial_answers = false;
    *rax = (*rax & ~0xfful) | READ_ONCE(s->lsr);
    return true;
}

/* IN or OUT of `size` bytes at a port. true: it is done; RAX has the result of IN. */
static inline bool serial_access(struct Vcpu *v, uint16_t port, uint32_t size, bool in,
                                 uint64_t *rax)
{
    struct GuestSerial *s = v->serial;
    if (!s || size != 1)
        return false;
    uint32_t reg = port - READ_ONCE(s->port);
    if (reg == COM_DATA && !in)
        return serial_collect(v, s, *rax);
    return reg == COM_LSR && in && serial_status(v, s, rax);
}

#endif
