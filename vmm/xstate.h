/*
 * XSAVE in guests: XCR0, and the registers that FXSAVE does not know. A guest that never sets
 * CR4.OSXSAVE cannot reach them, and has nothing of this. From then on they are switched when its
 * vCPU comes to a CPU and leaves it, not at exits: the kernel has no use for them.
 */
#ifndef JOS_VMM_XSTATE_H
#define JOS_VMM_XSTATE_H

#include <vmm/verdict.h>

struct Vcpu;

/* The guest has written CR4. On its CPU. It is ended if there is no memory for its state. */
void vcpu_cr4_changed(struct Vcpu *v, uint64_t cr4);
/* XSETBV at CPL 0, with CR4.OSXSAVE set: DO_NEXT; DO_GP. */
enum Verdict vcpu_xsetbv(struct Vcpu *v, uint32_t index, uint64_t value);
/* XCR0, of a vCPU that has this CPU. */
uint64_t vcpu_xcr0(const struct Vcpu *v);
/* To this CPU and from it, if v->xsave. */
void vcpu_load_xstate(struct Vcpu *v);
void vcpu_save_xstate(struct Vcpu *v);

#endif
