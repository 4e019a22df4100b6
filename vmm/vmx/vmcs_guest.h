#ifndef JOS_VMM_VMX_VMCS_GUEST_H
#define JOS_VMM_VMX_VMCS_GUEST_H

#include <vmm/vmx/vmx_vcpu.h>

/* Which MSRs the MSR areas switch; 0 ends the list. */
extern const uint32_t switched_msrs[];
enum SwitchedMsr {
    SWITCHED_KERNEL_GS_BASE,
    SWITCHED_STAR,
    SWITCHED_LSTAR,
    SWITCHED_CSTAR,
    SWITCHED_SFMASK,
    SWITCHED_TSC_AUX
};

/* Controls of a new VMCS, and the machine state that the Multiboot specification names. */
void vmcs_guest_init(struct Vcpu *v);

#endif
