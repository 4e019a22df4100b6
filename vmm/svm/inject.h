/*
 * Events that enter a guest.
 */
#ifndef JOS_VMM_SVM_INJECT_H
#define JOS_VMM_SVM_INJECT_H

#include <vmm/svm/svm.h>
#include <vmm/svm/svm_vcpu.h>

/* Keep the event of this EXITINTINFO, whose delivery the exit has interrupted. */
void svm_keep_event(struct SvmVcpu *s, uint64_t info);
static inline void svm_keep_exit_event(struct SvmVcpu *s)
{
    uint64_t info = s->vmcb->exit_int_info;
    if (__builtin_expect(info & EVENT_VALID, 0))
        svm_keep_event(s, info);
}
void svm_inject_fault(struct Vcpu *v, int vector, uint32_t error);
/* Do what Vcpu.attn asks for, as the last thing before an entry. false: leave the guest. */
bool svm_attend(struct SvmVcpu *s);
bool svm_interrupts_open(const struct Vcpu *v);
/* NMIs are blocked no longer, once the IRET at RIP is executed. */
void svm_nmi_iret(struct SvmVcpu *s);
/* An exception while that is stepped. true: it is the step's end; else it is to be handled. */
bool svm_end_iret(struct SvmVcpu *s);
/* QEMU forgets the interrupt shadow that it was entered with. An entry that has come no further
 * than its first instruction is still in it: else an interrupt could come between STI and HLT. */
static inline void svm_find_shadow(struct SvmVcpu *s)
{
    if (__builtin_expect(!s->shadow_kept, 1))
        return;
    if (s->vmcb->rip == s->shadow_rip)
        s->vmcb->interrupt_shadow |= SHADOW_ON;
    s->shadow_kept = false;
}
/* The entry that comes exits before the guest's first instruction, but after the injection,
 * whatever the guest's RFLAGS.IF: an interrupt waits on this CPU, whose handler has nothing to do.
 * QEMU 7.2 needs that for each interrupt that is injected, where several CPUs take turns: it leaves
 * the vector where it looks for exceptions, and delivers it again if another CPU's turn comes
 * before the guest's next exit. */
void svm_exit_at_once(struct Vcpu *v);
/* Do this (ATTN_*) again within the next microseconds. */
void svm_retry_soon(struct SvmVcpu *s, uint32_t attn);

#endif
