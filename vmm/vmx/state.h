/*
 * A vCPU's registers in its VMCS, for the shared parts of the VMM (backend.h).
 */
#ifndef JOS_VMM_VMX_STATE_H
#define JOS_VMM_VMX_STATE_H

#include <inc/x86.h>
#include <vmm/vmx/vmx.h>
#include <vmm/vmx/vmx_vcpu.h>

uint64_t vmx_get(const struct Vcpu *v, enum VcpuReg reg);
void vmx_set(struct Vcpu *v, enum VcpuReg reg, uint64_t value);
struct Segment vmx_get_segment(const struct Vcpu *v, enum VcpuSegment n);
void vmx_set_segment(struct Vcpu *v, enum VcpuSegment n, const struct Segment *s);

/* Is the guest whose VMCS is current in 64-bit mode (not compatibility mode)? */
static inline bool vmx_in_64bit(const struct Vcpu *v)
{
    (void)v;
    return (vmread(VMCS_GUEST_CS_AR) & AR_L) && (vmread(VMCS_GUEST_EFER) & EFER_LMA);
}

/* Can it take an external interrupt between two instructions right now? */
static inline bool vmx_interrupts_open(const struct Vcpu *v)
{
    (void)v;
    return (vmread_known(VMCS_GUEST_RFLAGS) & FL_IF) &&
           !(vmread_known(VMCS_GUEST_INTERRUPTIBILITY) & BLOCK_INSTRUCTION);
}

static inline void vmx_read_mode(struct PagingMode *m)
{
    m->cr0 = vmread_known(VMCS_GUEST_CR0);
    m->cr3 = vmread_known(VMCS_GUEST_CR3);
    m->cr4 = vmread_known(VMCS_GUEST_CR4);
    m->efer = vmread_known(VMCS_GUEST_EFER);
    m->rflags = vmread_known(VMCS_GUEST_RFLAGS);
    if ((m->efer & EFER_LMA) || !(m->cr4 & CR4_PAE))
        return;
    for (int i = 0; i < PAE_PDPTES; i++)
        m->pdpte[i] = vmread_known(VMCS_GUEST_PDPTE0 + 2 * i);
}

#endif
