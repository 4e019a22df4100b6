#ifndef JOS_VMM_VMX_EXIT_CR_H
#define JOS_VMM_VMX_EXIT_CR_H

#include <vmm/vmx/vmx_vcpu.h>

/* Handlers: see run.h for how they end. */
bool handle_craccess(struct Vcpu *v);
bool handle_movdr(struct Vcpu *v);
bool handle_xsetbv(struct Vcpu *v);

#endif
