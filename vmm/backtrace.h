/*
 * A guest's call chain.
 */
#ifndef JOS_VMM_BACKTRACE_H
#define JOS_VMM_BACKTRACE_H

#include <inc/env.h>

struct Vcpu;

/* If the guest, whose registers are here, cannot go on after what it has just done, remember its
 * call chain. */
void chain_at_end(struct Vcpu *v);

/* System call (inc/lib.h has the contract). */
int64_t sys_guest_backtrace(envid_t guest, uintptr_t frames, size_t n);

#endif
