/*
 * RDMSR and WRMSR, which have one exit code, and CPUID.
 */
#include <vmm/cpuid.h>
#include <vmm/cr.h>
#include <vmm/msr.h>
#include <vmm/vapic_regs.h>
#include <vmm/svm/svm_vcpu.h>

static inline void answer_cpuid(struct Trapframe *tf, const struct CpuidRegs *r)
{
    tf->tf_rax = r->eax;
    tf->tf_rbx = r->ebx;
    tf->tf_rcx = r->ecx;
    tf->tf_rdx = r->edx;
}

static bool __attribute__((noinline)) handle_computed(struct SvmVcpu *s)
{
    struct Trapframe *tf = &s->v.env->env_tf;
    struct CpuidRegs r = cpuid_answer(tf->tf_rax, tf->tf_rcx);
    answer_cpuid(tf, &r);
    return svm_skip(s);
}

bool svm_handle_cpuid(struct SvmVcpu *s)
{
    struct Trapframe *tf = &s->v.env->env_tf;
    uint32_t leaf = tf->tf_rax;
    if (__builtin_expect(leaf > CPUID_PLAIN_MAX, 0))
        return handle_computed(s);
    answer_cpuid(tf, &cpuid_basic[leaf]);
    return svm_skip(s);
}

/* EFER has SVME besides what is the guest's. */
static enum Verdict write_efer(struct SvmVcpu *s, uint64_t value)
{
    struct Vmcb *b = s->vmcb;
    struct ControlRegs r = { .cr0 = b->cr0, .efer = b->efer & ~EFER_SVME };
    if (!efer_write(&r, value))
        return DO_GP;
    b->efer = r.efer | EFER_SVME;
    if (r.flush)
        vcpu_attn(&s->v, ATTN_TLB_FLUSH);
    return DO_NEXT;
}

/* RDTSCP reads it without an exit. */
static enum Verdict write_tsc_aux(struct SvmVcpu *s, uint64_t value)
{
    if (!svm_caps.rdtscp || value >> 32)
        return DO_GP;
    s->tsc_aux = value;
    wrmsr(MSR_TSC_AUX, value);
    return DO_NEXT;
}

static bool handle_write(struct SvmVcpu *s)
{
    struct Vcpu *v = &s->v;
    const struct Trapframe *tf = &v->env->env_tf;
    uint32_t msr = tf->tf_rcx;
    uint64_t value = (uint32_t)tf->tf_rax | tf->tf_rdx << 32;
    if (v->clock_reason == EXIT_RDMSR) { /* counted by its code */
        v->stats.count[EXIT_RDMSR]--;
        v->stats.count[EXIT_WRMSR]++;
        v->clock_reason = EXIT_WRMSR;
    }
    if (msr_is_x2apic(msr))
        return svm_finish(s, vapic_write(v, msr, value));
    if (msr == MSR_EFER)
        return svm_finish(s, write_efer(s, value));
    if (msr == MSR_TSC_AUX)
        return svm_finish(s, write_tsc_aux(s, value));
    return svm_finish(s, msr_write(v, msr, value));
}

static struct MsrValue read_msr(struct SvmVcpu *s, uint32_t msr)
{
    if (msr_is_x2apic(msr))
        return vapic_read(&s->v, msr);
    if (msr == MSR_EFER)
        return (struct MsrValue){ .value = s->vmcb->efer & ~EFER_SVME };
    if (msr == MSR_TSC) /* RDTSC needs no exit, but QEMU's RDMSR reads 0 */
        return (struct MsrValue){ .value = read_tsc() + s->v.tsc_offset };
    return msr_read(&s->v, msr);
}

bool svm_handle_msr(struct SvmVcpu *s)
{
    struct Trapframe *tf = &s->v.env->env_tf;
    if (s->vmcb->exit_info1 & MSR_INFO_WRITE)
        return handle_write(s);
    struct MsrValue r = read_msr(s, tf->tf_rcx);
    if (__builtin_expect(r.verdict != DO_NEXT, 0))
        return svm_finish(s, r.verdict);
    tf->tf_rax = (uint32_t)r.value;
    tf->tf_rdx = r.value >> 32;
    return svm_skip(s);
}
