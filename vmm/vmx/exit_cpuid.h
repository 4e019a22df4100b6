#ifndef JOS_VMM_VMX_EXIT_CPUID_H
#define JOS_VMM_VMX_EXIT_CPUID_H

#include <vmm/vmx/vmx_vcpu.h>

/* Handlers: see run.h for how they end. */
bool handle_cpuid(struct Vcpu *v);

#endif
