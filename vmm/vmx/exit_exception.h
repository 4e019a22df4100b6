#ifndef JOS_VMM_VMX_EXIT_EXCEPTION_H
#define JOS_VMM_VMX_EXIT_EXCEPTION_H

#include <vmm/exception.h>
#include <vmm/vmx/vmx_vcpu.h>

/* An intercepted exception; info is the VM-exit interruption information. */
bool handle_exception(struct Vcpu *v, uint32_t info);
/* Backend.pass_exception. */
void vmx_pass_exception(struct Vcpu *v, const struct VcpuException *x);

#endif
