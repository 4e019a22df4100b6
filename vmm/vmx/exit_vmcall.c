/*
 * VMCALL. What the calls do is in vmm/hypercall.c.
 */
#include <inc/error.h>
#include <vmm/hypercall.h>
#include <vmm/vmx/exit_vmcall.h>
#include <vmm/vmx/run.h>
#include <vmm/vmx/vmx.h>

bool handle_vmcall(struct Vcpu *v)
{
    if (__builtin_expect(AR_DPL(vmread_known(VMCS_GUEST_SS_AR)) != 0, 0)) {
        v->env->env_tf.tf_rax = -E_PERM;
        return vmx_skip(v);
    }
    enum Verdict verdict = hypercall_handle(v);
    return __builtin_expect(verdict == DO_NEXT, 1) ? vmx_skip(v) : vmx_end(v, verdict);
}
