/*
 * VMMCALL. What the calls do is in vmm/hypercall.c.
 */
#include <inc/error.h>
#include <kern/cpu.h>
#include <vmm/hypercall.h>
#include <vmm/svm/exit_vmmcall.h>
#include <vmm/svm/run.h>
#include <vmm/verdict.h>
#include <vmm/svm/svm_vcpu.h>

/* Carry out a call and end its exit. The vCPU is read from this CPU's struct Cpu again, which costs
 * less than saving it in a register across the call. */
#define CALL(number, fn)                                                \
    static bool call_##number(struct SvmVcpu *s)                        \
    {                                                                   \
        enum Verdict verdict = fn(&s->v);                               \
        return svm_finish(svm_vcpu(this_cpu()->cpu_svm_vcpu), verdict); \
    }
HYPERCALL_LIST(CALL)
#undef CALL

static bool (*const calls[])(struct SvmVcpu *s) = {
#define CALL(number, fn) [number] = call_##number,
    HYPERCALL_LIST(CALL)
#undef CALL
};

static bool __attribute__((noinline, cold)) odd_call(struct SvmVcpu *s, uint64_t nr)
{
    if (s->vmcb->cpl != 0)
        return svm_finish(s, hv_result(&s->v, -E_PERM));
    return svm_finish(s, hypercall_odd(&s->v, nr));
}

bool svm_handle_vmmcall(struct SvmVcpu *s)
{
    uint64_t nr = s->v.env->env_tf.tf_rax;
    if (__builtin_expect(s->vmcb->cpl != 0 || nr >= ARRAY_SIZE(calls), 0))
        return odd_call(s, nr);
    return calls[nr](s);
}
