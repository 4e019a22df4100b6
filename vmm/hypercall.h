/*
 * Hypercalls of a guest.
 */
#ifndef JOS_VMM_HYPERCALL_H
#define JOS_VMM_HYPERCALL_H

#include <inc/types.h>
#include <vmm/verdict.h>

struct Vcpu;

/* Carry out the hypercall that the guest has made from CPL 0 (from another level, the back end
 * answers -E_PERM). It asks the back end for the guest's mode only where that matters. */
enum Verdict hypercall_handle(struct Vcpu *v);

#endif
