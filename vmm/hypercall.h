/*
 * Hypercalls of a guest.
 */
#ifndef JOS_VMM_HYPERCALL_H
#define JOS_VMM_HYPERCALL_H

#include <inc/types.h>
#include <vmm/verdict.h>

struct Vcpu;

/* Carry out the hypercall that the guest has made from this privilege level; wide: it is in 64-bit
 * mode. */
enum Verdict hypercall_handle(struct Vcpu *v, uint32_t cpl, bool wide);

#endif
