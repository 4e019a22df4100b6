#ifndef JOS_VMM_VMX_EXIT_IO_H
#define JOS_VMM_VMX_EXIT_IO_H

#include <vmm/vmx/vmx_vcpu.h>

/* Handlers: see run.h for how they end. */
bool handle_ioinstr(struct Vcpu *v);

#endif
