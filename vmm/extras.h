/*
 * What only some guests use, and is switched when their vCPU comes to a CPU and leaves it.
 */
#ifndef JOS_VMM_EXTRAS_H
#define JOS_VMM_EXTRAS_H

struct Vcpu;

/* Debug registers and extended state, to this CPU and from it, if v->has_extras. */
void vcpu_load_extras(struct Vcpu *v);
void vcpu_save_extras(struct Vcpu *v);

#endif
