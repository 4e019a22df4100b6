#ifndef JOS_VMM_VMX_EXIT_EPT_H
#define JOS_VMM_VMX_EXIT_EPT_H

#include <vmm/vmx/vmx_vcpu.h>

/* Handlers: see run.h for how they end. */
bool handle_eptviolation(struct Vcpu *v);
bool handle_eptmisconfig(struct Vcpu *v);

#endif
