#ifndef JOS_VMM_VMX_EXIT_VMCALL_H
#define JOS_VMM_VMX_EXIT_VMCALL_H

#include <vmm/vmx/vmx_vcpu.h>

/* Handlers: see run.h for how they end. */
bool handle_vmcall(struct Vcpu *v);

#endif
