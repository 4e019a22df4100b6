#ifndef JOS_VMM_VMX_VMCS_HOST_H
#define JOS_VMM_VMX_VMCS_HOST_H

#include <vmm/vmx/vmx_vcpu.h>

/* What a VM exit loads, which is constant on a CPU. User code cannot change the bases of FS and GS
 * (there is no CR4.FSGSBASE, and the segments that it can load have base 0). */
void vmcs_host_init(struct Vcpu *v);

#endif
