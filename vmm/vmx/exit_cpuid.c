/*
 * CPUID exits. What a guest is told is decided in vmm/cpuid.c.
 */
#include <vmm/cpuid.h>
#include <vmm/vmx/exit_cpuid.h>
#include <vmm/vmx/run.h>

/* LAB 6 cut */
static void answer(struct Trapframe *tf, const struct CpuidRegs *r)
{
    tf->tf_rax = r->eax;
    tf->tf_rbx = r->ebx;
    tf->tf_rcx = r->ecx;
    tf->tf_rdx = r->edx;
}

static bool __attribute__((noinline)) handle_computed(struct Vcpu *v)
{
    struct Trapframe *tf = &v->env->env_tf;
    struct CpuidRegs r = cpuid_answer(v, tf->tf_rax, tf->tf_rcx);
    answer(tf, &r);
    return vmx_skip(v);
}
/* LAB 6 end */

bool handle_cpuid(struct Vcpu *v)
{
    /* LAB 6 begin: handle_cpuid */
    struct Trapframe *tf = &v->env->env_tf;
    size_t leaf = (uint32_t)tf->tf_rax;
    if (__builtin_expect(leaf > CPUID_PLAIN_MAX, 0))
        return handle_computed(v);
    answer(tf, &v->cpuid[leaf]);
    return vmx_skip(v);
    /* LAB 6 end */
}
