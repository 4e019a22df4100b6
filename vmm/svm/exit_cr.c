/*
 * Control and debug registers. CR0 and CR4 in the VMCB are the guest's own, but for CR4.MCE; its
 * writes exit where they change more than TS and MP, and are carried out here by the rules of
 * vmm/cr.h. Without decode assists the CPU does not say which general register an instruction
 * names, so it is read.
 */
#include <inc/mmu.h>
#include <vmm/cr.h>
#include <vmm/debug/debug.h>
#include <vmm/debug/dr.h>
#include <vmm/debug/drs.h>
#include <vmm/svm/exit_cr.h>
#include <vmm/svm/exits.h>
#include <vmm/svm/inject.h>
#include <vmm/svm/insn.h>
#include <vmm/svm/run.h>
#include <vmm/gwalk.h>
#include <vmm/vapic.h>
#include <vmm/verdict.h>
#include <vmm/svm/svm_vcpu.h>
#include <vmm/xstate.h>

#define CR_OF(code)     ((int)((code)&0xf)) /* of DRn, too */
#define CR8_CLASS       0xful
#define OP2_GROUP7      0x01
#define OP2_CLTS        0x06
#define GROUP7_LMSW     6
#define LMSW_BITS       (CR0_PE | CR0_MP | CR0_EM | CR0_TS)
#define MODRM_REG(m)    ((m) >> 3 & 7)
#define MODRM_REGISTERS 3 /* of the mode: no memory operand */

static struct ControlRegs control_regs(const struct SvmVcpu *s)
{
    const struct Vmcb *b = s->vmcb;
    return (struct ControlRegs){
        .cr0 = b->cr0,
        .cr3 = b->cr3,
        .cr4 = b->cr4 & ~svm_host_cr4(),
        .cr4_allowed = s->v.vm->cr4,
        .efer = b->efer & ~EFER_SVME,
        .code64 = b->cs.attributes & VMCB_SEG_L,
        .old_tss = VMCB_TSS_TYPE(b->tr.attributes) != VMCB_TSS_32,
    };
}

/* What the instruction has changed, unless it is #GP. The CPU loads PDPTEs by itself, and checks
 * them when it uses them: the manual wants #GP here. */
static enum Verdict take_over(struct SvmVcpu *s, const struct ControlRegs *r)
{
    struct Vmcb *b = s->vmcb;
    uint64_t pdpte[PAE_PDPTES];
    if (r->load_pdptes && !guest_read_pdptes(&s->v, b->cr3, pdpte))
        return DO_GP;
    b->cr0 = r->cr0;
    b->cr4 = r->cr4 | svm_host_cr4();
    b->efer = r->efer | EFER_SVME;
    if (r->flush)
        vcpu_attn(&s->v, ATTN_TLB_FLUSH);
    vcpu_cr4_changed(&s->v, r->cr4);
    return DO_NEXT;
}

static enum Verdict write_cr0(struct SvmVcpu *s, uint64_t value)
{
    struct ControlRegs r = control_regs(s);
    return cr0_write(&r, value) ? take_over(s, &r) : DO_GP;
}

static enum Verdict write_cr4(struct SvmVcpu *s, uint64_t value)
{
    struct ControlRegs r = control_regs(s);
    return cr4_write(&r, value) ? take_over(s, &r) : DO_GP;
}

/* LMSW sets PE, and does not clear it. From memory it is left to the CPU, since all that it can do
 * is the guest's own: the intercept is back before long. */
static enum Verdict do_lmsw(struct SvmVcpu *s, const struct SvmInsn *insn)
{
    struct Vmcb *b = s->vmcb;
    if (insn->modrm >> 6 != MODRM_REGISTERS) {
        s->cr0_free = true;
        vmcb_intercept(b, INTERCEPT_MISC1, MISC1_CR0_SELECT, false);
        svm_retry_soon(s, 0);
        return DO_AGAIN;
    }
    uint64_t value = vcpu_gpr(&s->v, svm_modrm_gpr(insn));
    return write_cr0(s, (b->cr0 & ~(LMSW_BITS & ~CR0_PE)) | (value & LMSW_BITS));
}

bool svm_handle_cr_write(struct SvmVcpu *s)
{
    struct Vcpu *v = &s->v;
    uint64_t code = s->vmcb->exit_code;
    int cr = code == SVM_EXIT_CR0_SEL_WRITE ? 0 : CR_OF(code);
    struct SvmInsn insn;
    if (!svm_decode(s, &insn))
        return svm_resume(s);
    if (cr == 0 && insn.opcode == OP2_GROUP7 && MODRM_REG(insn.modrm) == GROUP7_LMSW)
        return svm_finish(s, do_lmsw(s, &insn));
    if (cr == 0 && insn.opcode == OP2_CLTS)
        return svm_finish(s, write_cr0(s, s->vmcb->cr0 & ~(uint64_t)CR0_TS));
    uint64_t value = vcpu_gpr(v, svm_modrm_gpr(&insn));
    if (cr == 0)
        return svm_finish(s, write_cr0(s, value));
    if (cr == 4)
        return svm_finish(s, write_cr4(s, value));
    if (cr == 8 && !(value & ~CR8_CLASS)) {
        vapic_write_cr8(v, value);
        return svm_skip(s);
    }
    return svm_finish(s, DO_GP);
}

bool svm_handle_cr_read(struct SvmVcpu *s)
{
    struct Vcpu *v = &s->v;
    struct SvmInsn insn;
    if (!svm_decode(s, &insn))
        return svm_resume(s);
    uint64_t value =
        CR_OF(s->vmcb->exit_code) == 8 ? vapic_read_cr8(v) : s->vmcb->cr4 & ~svm_host_cr4();
    vcpu_set_gpr(v, svm_modrm_gpr(&insn), value);
    return svm_skip(s);
}

/* In QEMU this never exits. */
bool svm_handle_xsetbv(struct SvmVcpu *s)
{
    const struct Trapframe *tf = &s->v.env->env_tf;
    uint64_t value = (uint32_t)tf->tf_rax | tf->tf_rdx << 32;
    return svm_finish(s, s->vmcb->cpl == 0 ? vcpu_xsetbv(&s->v, tf->tf_rcx, value) : DO_GP);
}

/* ---- Debug registers ---- */

/* Writes of DR7, also by its old name DR5, always exit: QEMU arms the breakpoints of a MOV to DR7,
 * but not those of a VMRUN, and forgets at an exit what the guest has armed. All accesses exit
 * while general detect is on, which QEMU does not know. */
static void note_dr_exits(struct SvmVcpu *s)
{
    bool all = s->dr_exits || (s->vmcb->dr7 & DR7_GD);
    s->vmcb->intercepts[INTERCEPT_DR] = all ? DR_ALL : DR_WRITE(5) | DR_WRITE(7);
    svm_note_special(s);
}

void svm_set_dr_exits(struct Vcpu *v, bool exits)
{
    svm_vcpu(v)->dr_exits = exits;
    note_dr_exits(svm_vcpu(v));
}

void svm_set_dr7(struct SvmVcpu *s, uint64_t value)
{
    s->vmcb->dr7 = value;
    note_dr_exits(s);
}

static enum Verdict write_dr7(struct SvmVcpu *s, uint64_t value)
{
    if (value >> 32)
        return DO_GP;
    svm_set_dr7(s, (value & ~DR7_ZEROES) | DR7_INIT);
    return DO_NEXT;
}

/* An access to DRn of the guest's own. All but those of DR7 are executed by the CPU then. */
static enum Verdict guest_movdr(struct SvmVcpu *s, int n, const struct SvmInsn *insn, bool read)
{
    struct Vcpu *v = &s->v;
    struct Vmcb *b = s->vmcb;
    if ((n == 4 || n == 5) && (b->cr4 & CR4_DE))
        return DO_UD;
    if (b->dr7 & DR7_GD) {
        vcpu_debug_trap(v, DR6_BD);
        return DO_AGAIN;
    }
    if (v->dr_live && !read)
        return write_dr7(s, vcpu_gpr(v, svm_modrm_gpr(insn)));
    vcpu_use_drs(v);
    b->rflags |= FL_RF; /* an instruction breakpoint there has been reported already */
    return DO_AGAIN;
}

bool svm_handle_dr(struct SvmVcpu *s)
{
    struct Vcpu *v = &s->v;
    uint64_t code = s->vmcb->exit_code;
    bool read = code < SVM_EXIT_DR_WRITE;
    struct SvmInsn insn;
    if (!svm_decode(s, &insn))
        return svm_resume(s);
    if (debug_owns_drs(v))
        return svm_finish(s, debug_movdr(v, CR_OF(code), svm_modrm_gpr(&insn), read));
    return svm_finish(s, guest_movdr(s, CR_OF(code), &insn, read));
}
