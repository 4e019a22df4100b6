/*
 * A guest's call chain.
 */
#ifndef JOS_VMM_BACKTRACE_H
#define JOS_VMM_BACKTRACE_H

struct Vcpu;

/* If the guest, whose registers are here, cannot go on after what it has just done, remember its
 * call chain. */
void chain_at_end(struct Vcpu *v);

#endif
