/*
 * Intercepted exceptions: those that vcpu_exceptions names, which are passed on, page faults if the
 * monitor asked for them, which are verified by a walk of the guest's own page tables before they
 * are injected, and what a debugger wants.
 */
#include <inc/mmu.h>
#include <kern/trap.h>
#include <vmm/debug/debug.h>
#include <vmm/debug/dr.h>
#include <vmm/debug/drs.h>
#include <vmm/exception.h>
#include <vmm/svm/exit_exception.h>
#include <vmm/svm/exits.h>
#include <vmm/svm/inject.h>
#include <vmm/svm/insn.h>
#include <vmm/svm/run.h>
#include <vmm/svm/state.h>
#include <vmm/gwalk.h>
#include <vmm/svm/svm_vcpu.h>

#define OP_INT3 0xcc
/* A fault that the tables in memory do not explain came from a stale translation: drop that and let
 * the guest try again. When it comes again at once, it is the guest's to judge. */
static bool is_spurious(struct SvmVcpu *s, uint64_t va, uint32_t error)
{
    struct Vcpu *v = &s->v;
    struct PagingMode m;
    gpa_t gpa;
    svm_paging_mode(v, &m);
    if (guest_walk(v, &m, va, error & (FEC_WR | FEC_U | FEC_ID), &gpa) != WALK_OK)
        return false;
    if (v->spurious_rip == s->vmcb->rip && v->spurious_va == va)
        return false;
    v->spurious_rip = s->vmcb->rip;
    v->spurious_va = va;
    return true;
}

static inline void pass_page_fault(struct SvmVcpu *s, uint64_t va, uint32_t error)
{
    struct Vcpu *v = &s->v;
    if (is_spurious(s, va, error)) {
        v->stats.refused_pf++;
        vcpu_attn(v, ATTN_TLB_FLUSH);
        return;
    }
    v->spurious_rip = v->spurious_va = 0;
    v->stats.injected_pf++;
    lcr2(va);
    svm_inject_fault(v, T_PGFLT, error);
}

/* INT1, INT3: traps, which need their length. */
static void pass_software(struct Vcpu *v, const struct VcpuException *x)
{
    v->event = (struct Event){ .info = x->info, .length = x->length };
    vcpu_attn(v, ATTN_EVENT);
}

void svm_pass_exception(struct Vcpu *v, const struct VcpuException *x)
{
    if ((x->info & EVENT_TYPE) != EVENT_EXCEPTION)
        pass_software(v, x);
    else if (x->vector == T_PGFLT)
        pass_page_fault(svm_vcpu(v), x->address, x->error);
    else if (x->vector == T_DEBUG)
        vcpu_debug_trap(v, x->address);
    else
        svm_inject_fault(v, x->vector, x->error);
}

/* The CPU has updated DR6 by now, unlike Intel's: the causes are taken out of it, and come back
 * with the exception if that is the guest's. (Bochs does not; a step shows in TF.) */
static uint64_t take_causes(struct Vmcb *b)
{
    uint64_t causes = b->dr6 & DR6_CAUSES;
    b->dr6 = DR6_INIT;
    return causes == 0 && (b->rflags & FL_TF) ? DR6_BS : causes;
}

static struct VcpuException exception_of(struct SvmVcpu *s)
{
    struct Vmcb *b = s->vmcb;
    struct VcpuException x = { .vector = b->exit_code - SVM_EXIT_EXCP };
    x.info = EVENT_VALID | EVENT_EXCEPTION | x.vector;
    if (HAS_ERROR >> x.vector & 1) {
        x.info |= EVENT_ERROR_VALID;
        x.error = b->exit_info1;
    }
    if (x.vector == T_PGFLT)
        x.address = b->exit_info2;
    if (x.vector == T_DEBUG)
        x.address = take_causes(b);
    if (x.vector == T_BRKPT) {
        x.info = EVENT_VALID | EVENT_SOFT_EXC | T_BRKPT;
        x.length = 1;
    }
    return x;
}

static bool __attribute__((noinline)) handle_others(struct SvmVcpu *s)
{
    struct Vcpu *v = &s->v;
    struct VcpuException x = exception_of(s);
    if (x.vector == T_MCHK) { /* the host's: as if it had come here */
        asm volatile("int %0" : : "i"(T_MCHK) : "memory");
        return svm_resume(s);
    }
    if (v->debug)
        return svm_finish(s, debug_exception(v, &x));
    svm_pass_exception(v, &x);
    return svm_resume(s);
}

bool svm_handle_exception(struct SvmVcpu *s)
{
    const struct Vmcb *b = s->vmcb;
    svm_keep_exit_event(s);
    if (__builtin_expect(s->iret_step, 0) && svm_end_iret(s))
        return svm_resume(s);
    if (b->exit_code != SVM_EXIT_EXCP + T_PGFLT || s->v.debug)
        return handle_others(s);
    pass_page_fault(s, b->exit_info2, b->exit_info1);
    return svm_resume(s);
}

/* INT n, which exits while somebody wants INT3: QEMU has no other exit for that. */
bool svm_handle_swint(struct SvmVcpu *s)
{
    struct Vcpu *v = &s->v;
    struct SvmInsn insn;
    if (!svm_decode(s, &insn))
        return svm_resume(s);
    bool is_int3 = insn.opcode == OP_INT3;
    int vector = is_int3 ? T_BRKPT : insn.operand;
    struct VcpuException x = {
        .vector = vector,
        .info = EVENT_VALID | (is_int3 ? EVENT_SOFT_EXC : EVENT_SOFT_INT) | vector,
        .length = insn.length,
    };
    if (is_int3 && v->debug)
        return svm_finish(s, debug_exception(v, &x));
    pass_software(v, &x);
    return svm_resume(s);
}

bool svm_handle_icebp(struct SvmVcpu *s)
{
    struct Vcpu *v = &s->v;
    struct SvmInsn insn;
    struct VcpuException x = {
        .vector = T_DEBUG,
        .info = EVENT_VALID | EVENT_PRIV_EXC | T_DEBUG,
        .length = svm_decode(s, &insn) ? insn.length : 1,
    };
    if (v->debug)
        return svm_finish(s, debug_exception(v, &x));
    vcpu_clear_general_detect(v);
    pass_software(v, &x);
    return svm_resume(s);
}
