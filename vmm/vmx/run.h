/*
 * The run loop of VT-x, and the ways in which an exit ends.
 */
#ifndef JOS_VMM_VMX_RUN_H
#define JOS_VMM_VMX_RUN_H

#include <vmm/verdict.h>
#include <vmm/vmx/vmx_vcpu.h>

/* Enter guest e (it is curenv, its FPU state loaded) and handle its exits until the scheduler
 * should be asked. */
void vmx_vmrun(struct Env *e);
/* Backend.skip_here, Backend.hand_over. */
bool vmx_skip_here(struct Vcpu *v);
void vmx_hand_over(struct Vcpu *v);

/*
 * What comes after an exit. A handler's last act is to call one of these, and to return what it
 * returns: true: enter the guest again; false: leave it, and ask the scheduler. vmx_resume goes on
 * at the instruction that exited, vmx_skip after it. Both may find that the host wants the CPU.
 */
bool vmx_resume(struct Vcpu *v);
bool vmx_skip(struct Vcpu *v);
/* vmx_skip of an instruction whose length the exit does not tell. */
bool vmx_skip_by(struct Vcpu *v, uint32_t length);
bool vmx_leave(struct Vcpu *v);
bool vmx_skip_and_leave(struct Vcpu *v);
/* The one of these, or of inject.h's, that a shared decision asks for. */
bool vmx_end(struct Vcpu *v, enum Verdict verdict);

/* Go on after the instruction that exited, whatever comes next. */
void skip_instruction(void);
/* The same after one of this length, and with all that the end of an instruction means. */
void vmx_step_over(uint64_t length) __attribute__((noinline, cold));

#endif
