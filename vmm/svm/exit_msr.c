/*
 * RDMSR and WRMSR, which have one exit code, and CPUID.
 */
#include <vmm/cpuid.h>
#include <vmm/cr.h>
#include <vmm/features.h>
#include <vmm/msr.h>
#include <vmm/svm/exit_msr.h>
#include <vmm/svm/exits.h>
#include <vmm/svm/run.h>
#include <vmm/svm/svm_vcpu.h>
#include <vmm/vapic.h>
#include <vmm/verdict.h>
#include <vmm/vapic_regs.h>

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
    struct CpuidRegs r = cpuid_answer(&s->v, tf->tf_rax, tf->tf_rcx);
    answer_cpuid(tf, &r);
    return svm_skip(s);
}

bool svm_handle_cpuid(struct SvmVcpu *s)
{
    struct Trapframe *tf = &s->v.env->env_tf;
    size_t leaf = (uint32_t)tf->tf_rax;
    if (__builtin_expect(leaf > CPUID_PLAIN_MAX, 0))
        return handle_computed(s);
    answer_cpuid(tf, &s->v.cpuid[leaf]);
    return svm_skip(s);
}

/* EFER has SVME besides what is the guest's. */
static enum Verdict write_efer(struct SvmVcpu *s, uint64_t value)
{
    struct Vmcb *b = s->vmcb;
    struct ControlRegs r = { .cr0 = b->cr0, .efer = b->efer & ~EFER_SVME };
    if (!efer_write(&r, value, s->v.efer_reserved))
        return DO_GP;
    b->efer = r.efer | EFER_SVME;
    if (r.flush)
        vcpu_attn(&s->v, ATTN_TLB_FLUSH);
    return DO_NEXT;
}

/* RDTSCP reads it without an exit. */
static enum Verdict write_tsc_aux(struct SvmVcpu *s, uint64_t value)
{
    if (!vm_has(s->v.vm, rdtscp) || value >> 32)
        return DO_GP;
    s->tsc_aux = value;
    wrmsr(MSR_TSC_AUX, value);
    return DO_NEXT;
}

/* Those that are written here have high numbers. */
static bool __attribute__((noinline)) write_high(struct SvmVcpu *s, uint32_t msr, uint64_t value)
{
    if (msr == MSR_EFER)
        return svm_finish(s, write_efer(s, value));
    if (msr == MSR_TSC_AUX)
        return svm_finish(s, write_tsc_aux(s, value));
    return svm_finish(s, msr_write(&s->v, msr, value));
}

static bool __attribute__((noinline)) write_other(struct SvmVcpu *s, uint32_t msr, uint64_t value)
{
    if (msr >= MSR_EFER)
        return write_high(s, msr, value);
    return svm_finish(s, msr_write(&s->v, msr, value));
}

static inline bool write_apic(struct SvmVcpu *s, uint32_t msr, uint64_t value)
{
    return svm_finish(s, vapic_write(&s->v, msr, value));
}

/* RDMSR and WRMSR have one exit code, by which the exit was counted as the former. */
static inline void count_as_write(struct Vcpu *v)
{
    v->stats.count[EXIT_RDMSR]--;
    v->stats.count[EXIT_WRMSR]++;
    v->clock_reason = EXIT_WRMSR;
}

static inline bool handle_write(struct SvmVcpu *s)
{
    const struct Trapframe *tf = &s->v.env->env_tf;
    uint32_t msr = tf->tf_rcx;
    uint64_t value = (uint32_t)tf->tf_rax | tf->tf_rdx << 32;
    count_as_write(&s->v);
    return vapic_has_msr(&s->v, msr) ? write_apic(s, msr, value) : write_other(s, msr, value);
}

static inline bool end_read(struct SvmVcpu *s, struct MsrValue r)
{
    struct Trapframe *tf = &s->v.env->env_tf;
    if (__builtin_expect(r.verdict != DO_NEXT, 0))
        return svm_finish_rare(s, r.verdict);
    tf->tf_rax = (uint32_t)r.value;
    tf->tf_rdx = r.value >> 32;
    return svm_skip(s);
}

static bool __attribute__((noinline)) read_other(struct SvmVcpu *s, uint32_t msr)
{
    struct MsrValue r;
    if (msr == MSR_EFER)
        r = (struct MsrValue){ .value = s->vmcb->efer & ~EFER_SVME };
    else if (msr == MSR_TSC) /* RDTSC needs no exit, but QEMU's RDMSR reads 0 */
        r = (struct MsrValue){ .value = read_tsc() + s->v.tsc_offset };
    else
        r = msr_read(&s->v, msr);
    return end_read(s, r);
}

static bool handle_read(struct SvmVcpu *s)
{
    uint32_t msr = s->v.env->env_tf.tf_rcx;
    return vapic_has_msr(&s->v, msr) ? end_read(s, vapic_read(&s->v, msr)) : read_other(s, msr);
}

bool svm_handle_msr(struct SvmVcpu *s)
{
    return s->vmcb->exit_info1 & MSR_INFO_WRITE ? handle_write(s) : handle_read(s);
}
