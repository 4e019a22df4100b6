/*
 * Which VMCS is current on which CPU.
 */
#ifndef JOS_VMM_VMX_VMCS_LOAD_H
#define JOS_VMM_VMX_VMCS_LOAD_H

#include <vmm/vmx/vmx_vcpu.h>

/* The vCPU whose VMCS is current on this CPU, or NULL. */
static inline struct Vcpu *vmcs_owner(void)
{
    return this_cpu()->cpu_vmcs_guest;
}
static inline bool vmcs_is_current(const struct Vcpu *v)
{
    return vmcs_owner() == v;
}
/* Make the vCPU's VMCS current on this CPU; fills it in before its first use. false: it failed, and
 * the guest has been ended with the reason. */
bool vmcs_load(struct Vcpu *v);
/* Take the vCPU's VMCS off the CPU that has it, so that it can be freed or loaded on another CPU.
 */
void vmcs_unload(struct Vcpu *v);
/* Another CPU has asked for the VMCS that is active on this one (Cpu.cpu_vmcs_wanted). */
void vmx_put_down(void);
/* Backend.borrow and give_back. */
bool vmcs_borrow(struct Vcpu *v);
void vmcs_give_back(struct Vcpu *v);

#endif
