/*
 * VMCALL. What the calls do is in vmm/hypercall.c.
 */
#include <vmm/hypercall.h>
#include <vmm/vmx/exit_vmcall.h>
#include <vmm/vmx/run.h>
#include <vmm/verdict.h>
#include <vmm/vmx/vmx.h>

/* A call, and the end of its exit. (console is there twice: one function for two numbers.) */
#define CALL(number, fn)                                               \
    static bool call_##number(struct Vcpu *v)                          \
    {                                                                  \
        enum Verdict verdict = fn(v);                                  \
        return verdict == DO_NEXT ? vmx_skip(v) : vmx_end(v, verdict); \
    }
HYPERCALL_LIST(CALL)
#undef CALL

static bool (*const calls[])(struct Vcpu *v) = {
#define CALL(number, fn) [number] = call_##number,
    HYPERCALL_LIST(CALL)
#undef CALL
};

static bool __attribute__((noinline, cold)) refuse(struct Vcpu *v)
{
    return vmx_end(v, hv_result(v, -E_PERM));
}

static bool __attribute__((noinline, cold)) odd_number(struct Vcpu *v, uint64_t nr)
{
    return vmx_end(v, hypercall_odd(v, nr));
}

bool handle_vmcall(struct Vcpu *v)
{
    uint64_t nr = v->env->env_tf.tf_rax;
    if (__builtin_expect(AR_DPL(vmread_known(VMCS_GUEST_SS_AR)) != 0, 0))
        return refuse(v);
    if (__builtin_expect(nr >= ARRAY_SIZE(calls), 0))
        return odd_number(v, nr);
    return calls[nr](v);
}
