/*
 * A guest's debug registers on the CPU.
 */
#ifndef JOS_VMM_DEBUG_DRS_H
#define JOS_VMM_DEBUG_DRS_H

#include <inc/types.h>

struct Vcpu;

/* The debug registers of the guest, or of its debugger, to the CPU; the guest's from there. Only if
 * vcpu_uses_drs (debug.h). */
void vcpu_load_drs(struct Vcpu *v);
void vcpu_save_drs(struct Vcpu *v);
/* From now on the guest's debug registers are switched, and its accesses do not exit. */
void vcpu_use_drs(struct Vcpu *v);
/* Give the guest a debug exception with these causes, as DR6 shows them. */
void vcpu_debug_trap(struct Vcpu *v, uint64_t causes);
/* Every debug exception clears DR7.GD. */
void vcpu_clear_general_detect(struct Vcpu *v);
/* An entry with TF and a blocking by STI needs a pending single step; without one, end that. */
void vcpu_unblock(struct Vcpu *v);

/* Are the debug registers the guest's, or its debugger's, while it has a CPU? */
bool guest_uses_drs(const struct Vcpu *v);

#endif
