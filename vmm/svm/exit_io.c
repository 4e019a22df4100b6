/*
 * Port I/O, and nested page faults. Every port exits. A few are answered here; all others belong to
 * the monitor, and so does a gpa that is not RAM.
 */
#include <inc/mmu.h>
#include <inc/string.h>
#include <vmm/apic_mmio.h>
#include <vmm/backend.h>
#include <vmm/gmem.h>
#include <vmm/ports.h>
#include <vmm/stop.h>
#include <vmm/string_io.h>
#include <vmm/svm/exit_io.h>
#include <vmm/svm/inject.h>
#include <vmm/svm/insn.h>
#include <vmm/svm/run.h>
#include <vmm/svm/state.h>
#include <vmm/svm/svm_vcpu.h>
#include <vmm/kill.h>
#include <vmm/verdict.h>
#include <vmm/vm.h>

/* The CPUs here report neither segment nor address size, so both are read from the instruction. */
static struct StringInsn string_insn(struct SvmVcpu *s, const struct SvmInsn *insn)
{
    const struct Vmcb *b = s->vmcb;
    bool wide = svm_in_64bit(b), code32 = b->cs.attributes & VMCB_SEG_DB;
    uint8_t usual = wide ? 8 : code32 ? 4 : 2, other = wide ? 4 : code32 ? 2 : 4;
    return (struct StringInsn){
        .rep = b->exit_info1 & IOIO_REP,
        .address_bytes = insn->address_size ? other : usual,
        .segment = insn->segment >= 0 ? (enum VcpuSegment)insn->segment : VSEG_DS,
        .cpl = b->cpl,
        .wide = wide,
    };
}

static bool __attribute__((noinline)) handle_string(struct SvmVcpu *s)
{
    struct Vcpu *v = &s->v;
    struct PagingMode m;
    struct SvmInsn insn;
    bool stop;
    if (!svm_decode(s, &insn))
        return svm_resume(s);
    struct StringInsn string = string_insn(s, &insn);
    svm_paging_mode(v, &m);
    enum Verdict verdict = string_io(v, &string, &m, &stop);
    if (!stop && verdict == DO_NEXT)
        return svm_skip_to(s, s->vmcb->exit_info2);
    if (!stop)
        return svm_finish(s, verdict);
    if (verdict == DO_AGAIN)
        s->vmcb->rflags |= FL_RF;
    return guest_stop(v, GUEST_EV_IO);
}

bool svm_handle_io(struct SvmVcpu *s)
{
    struct Vcpu *v = &s->v;
    uint64_t info = s->vmcb->exit_info1;
    struct Trapframe *tf = &v->env->env_tf;
    uint16_t port = IOIO_PORT(info);
    if (!(info & IOIO_STRING) && port_is_idle(port)) {
        if (info & IOIO_IN)
            tf->tf_rax = port_ones(tf->tf_rax, IOIO_SIZE(info));
        return svm_skip_to(s, s->vmcb->exit_info2);
    }
    v->exit.io = (struct GuestIo){
        .port = port,
        .size = IOIO_SIZE(info),
        .in = info & IOIO_IN ? 1 : 0,
    };
    if (info & IOIO_STRING)
        return handle_string(s);
    return guest_stop(v, GUEST_EV_IO);
}

static uint32_t npf_access(uint64_t info)
{
    return info & FEC_ID ? GUEST_FETCH : info & FEC_WR ? GUEST_WRITE : GUEST_READ;
}

/* An access to the local APIC's page. */
static bool __attribute__((noinline)) handle_apic(struct SvmVcpu *s, gpa_t gpa, uint32_t access)
{
    struct Vcpu *v = &s->v;
    const struct Vmcb *b = s->vmcb;
    uint32_t code = 64 | CODE_LEVEL4;
    uint64_t va = b->rip;
    if (v->event.info || (b->exit_int_info & EVENT_VALID))
        access |= APIC_DELIVERS;
    if (b->exit_info1 & NPF_GUEST_TABLES)
        access |= APIC_WALKS;
    if (!svm_in_64bit(b)) {
        code = b->cs.attributes & VMCB_SEG_DB ? 32 : 16;
        va = (uint32_t)(va + b->cs.base);
    }
    uint32_t length = apic_access(v, gpa, access, va, b->cr3, code);
    return length > 0 ? svm_skip_to(s, b->rip + length) : svm_leave(s);
}

/* First touch of RAM gets memory; what is not RAM is the monitor's. */
bool svm_handle_npf(struct SvmVcpu *s)
{
    struct Vcpu *v = &s->v;
    gpa_t gpa = s->vmcb->exit_info2;
    uint32_t access = npf_access(s->vmcb->exit_info1);
    svm_keep_exit_event(s);
    if (apic_has_gpa(v, gpa))
        return handle_apic(s, gpa, access);
    if (gmem_is_ram(v->vm, gpa, 1))
        return svm_finish(s, gmem_fault(v, gpa, access));
    /* Also that of a software interrupt, which is not kept, since it comes again by itself. */
    bool delivers = v->event.info || (s->vmcb->exit_int_info & EVENT_VALID);
    if (!delivers)
        return guest_stop_mmio(v, gpa, access);
    guest_kill(
        v, "the delivery of an exception or interrupt needs gpa 0x%lx, where there is no memory",
        gpa);
    return svm_leave(s);
}
