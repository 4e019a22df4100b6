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
    uint8_t cpl;
    bool wide; /* in 64-bit mode */
};

/* Carry out one element as far as the kernel does. *stop: stop for the monitor with GUEST_EV_IO,
 * and with DO_AGAIN the instruction has more elements, so that RFLAGS.RF is to be set before. Else,
 * DO_AGAIN: a fault waits in v->event; DO_LEAVE: the guest has ended; DO_NEXT: RCX is 0. */
enum Verdict string_io(struct Vcpu *v, const struct StringInsn *insn, const struct PagingMode *m,
                       bool *stop);
/* The monitor's answer to it. The guest may end. */
void string_io_answer(struct Vcpu *v, uint64_t value);

#endif
