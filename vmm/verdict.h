/*
 * What shared decisions say about an exit. A back end's handler decodes the exit, asks, and ends it
 * as the verdict says; only it knows how.
 */
#ifndef JOS_VMM_VERDICT_H
#define JOS_VMM_VERDICT_H

#include <inc/types.h>

enum Verdict {
    DO_NEXT = 0,       /* go on after the instruction */
    DO_AGAIN,          /* go on at the same instruction, or with the event in Vcpu.event */
    DO_GP,             /* #GP(0) for the instruction */
    DO_UD,             /* #UD for it */
    DO_LEAVE,          /* leave the guest: it is stopped for its monitor, or ended */
    DO_NEXT_AND_LEAVE, /* after the instruction, ask the scheduler */
};

/* What RDMSR of a register says; the value means something with DO_NEXT. In registers, since it is
 * on the way of exits. */
struct MsrValue {
    uint64_t value;
    enum Verdict verdict;
};

#endif
