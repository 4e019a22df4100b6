/*
 * Hypercalls of a guest.
 */
#ifndef JOS_VMM_HYPERCALL_H
#define JOS_VMM_HYPERCALL_H

#include <inc/types.h>
#include <vmm/verdict.h>

struct Env;
struct PageInfo;
struct Vcpu;

/* Carry out the hypercall that the guest has made from CPL 0 (from another level, the back end
 * answers -E_PERM). It asks the back end for the guest's mode only where that matters. */
enum Verdict hypercall_handle(struct Vcpu *v);

/* kern/ipc.c tells a guest in WAIT_HOSTSEND how its send ended; the caller wakes it. */
void guest_ipc_sent(struct Env *e, int result);
/* kern/ipc.c hands a message to a guest in WAIT_HOSTRECV; the caller wakes it. 0, or -E_* if the
 * page could not be mapped (the sender gets the error). */
int guest_ipc_deliver(struct Env *e, uint64_t value, struct PageInfo *pp, uint64_t perm);

#endif
