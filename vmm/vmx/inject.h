/*
 * Events that enter a guest, on VT-x.
 */
#ifndef JOS_VMM_VMX_INJECT_H
#define JOS_VMM_VMX_INJECT_H

#include <inc/mmu.h>
#include <inc/x86.h>
#include <vmm/exception.h>
#include <vmm/vmx/vmx.h>
#include <vmm/vmx/vmx_vcpu.h>

/* Inject a fault: its frame has RFLAGS.RF (SDM "Instruction-Breakpoint Exception Condition").
 * Merged with an event whose delivery it interrupted. */
void inject_fault(struct Vcpu *v, int vector, uint32_t error);
/* The same of a page fault, which only protected mode has. */
static inline void inject_page_fault(struct Vcpu *v, uint64_t va, uint32_t error)
{
    lcr2(va);
    vmwrite_known(VMCS_GUEST_RFLAGS, vmread_known(VMCS_GUEST_RFLAGS) | FL_RF);
    event_exception(v, T_PGFLT, error, true);
}
/* #UD, or #GP(0), for the instruction that exited, whose exit ends so. */
bool vmx_ud(struct Vcpu *v);
bool vmx_gp(struct Vcpu *v);
/* The instruction that exited is to be executed again, and an instruction breakpoint there has been
 * reported already: set RFLAGS.RF (SDM "Saving RIP, RSP, RFLAGS, and SSP"). */
void set_resume_flag(void);
/* The exit came from an IRET that had ended the blocking of NMIs already, and that is now to be
 * executed again (SDM "Resuming Guest Software after Handling an Exception"). */
void block_nmis_again(struct Vcpu *v);
/* Keep the event that info, the IDT-vectoring information, tells of. */
void keep_event(struct Vcpu *v, uint32_t info);
/* Keep the event whose delivery this exit interrupted, if there is one. */
static inline void keep_vectored_event(struct Vcpu *v)
{
    uint32_t info = vmread_known(VMCS_IDT_VECTORING_INFO);
    if (__builtin_expect(info & EVENT_VALID, 0))
        keep_event(v, info);
}
/* Do what Vcpu.attn asks for, as the last thing before an entry. false: leave the guest. */
bool vmx_attend(struct Vcpu *v);

#endif
