/*
 * INS and OUTS, one element an exit.
 */
#ifndef JOS_VMM_STRING_IO_H
#define JOS_VMM_STRING_IO_H

#include <vmm/backend.h>
#include <vmm/verdict.h>

struct Vcpu;

/* The instruction, decoded: v->exit.io has port, size and direction. */
struct StringInsn {
    bool rep;
    uint8_t address_bytes;    /* 2, 4 or 8 */
    enum VcpuSegment segment; /* of OUTS's source; INS uses ES */
};

/* Carry out one element as far as the kernel does: DO_LEAVE: stop for the monitor with GUEST_EV_IO
 * (*stop is set), or the guest has ended; DO_AGAIN: a fault waits in v->event; DO_NEXT: RCX is 0. */
enum Verdict string_io(struct Vcpu *v, const struct StringInsn *insn, const struct PagingMode *m,
                       bool *stop);
/* The monitor's answer to it. The guest may end. */
void string_io_answer(struct Vcpu *v, uint64_t value);

#endif
