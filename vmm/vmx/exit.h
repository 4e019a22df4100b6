/*
 * The exit path.
 */
#ifndef JOS_VMM_VMX_EXIT_H
#define JOS_VMM_VMX_EXIT_H

#include <vmm/vmx/vmx_vcpu.h>

/* Handle the exit that has just happened. true: enter the guest again; false: ask the scheduler. */
bool vmexit(struct Vcpu *v);
/* What a basic exit reason means. Never NULL. */
const char *vmx_reason_words(uint32_t reason);

#endif
