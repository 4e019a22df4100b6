/*
 * Control and debug registers. The guest owns the bits that concern only itself; the rest of CR0
 * and CR4 is the host's, and the guest sees a shadow. An exit happens when a guest changes a
 * host-owned bit, and then the whole instruction is done here, as vmm/cr.c says.
 */
#include <vmm/cr.h>
#include <vmm/debug/debug.h>
#include <vmm/debug/drs.h>
#include <vmm/vmx/exit_cr.h>
#include <vmm/vmx/inject.h>
#include <vmm/vmx/run.h>
#include <vmm/kill.h>
#include <vmm/gwalk.h>
#include <vmm/vapic.h>
#include <vmm/vmx/state.h>
#include <vmm/xstate.h>

#define CR8_CLASS 0xful

static struct ControlRegs control_regs(const struct Vcpu *v)
{
    uint32_t tr = AR_TYPE(vmread(VMCS_GUEST_TR_AR));
    return (struct ControlRegs){
        .cr0 = vmx_get(v, VREG_CR0),
        .cr3 = vmread(VMCS_GUEST_CR3),
        .cr4 = vmx_get(v, VREG_CR4),
        .cr4_allowed = v->vm->cr4,
        .efer = vmread(VMCS_GUEST_EFER),
        .code64 = vmread(VMCS_GUEST_CS_AR) & AR_L,
        .old_tss = tr != AR_TSS,
    };
}

static void set_long_mode(const struct ControlRegs *r)
{
    uint64_t entry = vmread(VMCS_ENTRY_CONTROLS);
    bool on = r->efer & EFER_LMA;
    vmwrite(VMCS_GUEST_EFER, r->efer);
    vmwrite(VMCS_ENTRY_CONTROLS, on ? entry | ENTRYC_IA32E : entry & ~(uint64_t)ENTRYC_IA32E);
}

/* Bring what has changed into the VMCS. false: #GP, and nothing was done. */
static bool apply(struct Vcpu *v, const struct ControlRegs *r)
{
    uint64_t pdpte[PAE_PDPTES];
    if (r->load_pdptes && !guest_read_pdptes(v, vmread(VMCS_GUEST_CR3), pdpte))
        return false;
    for (int i = 0; i < PAE_PDPTES && r->load_pdptes; i++)
        vmwrite(VMCS_GUEST_PDPTE0 + 2 * i, pdpte[i]);
    uint64_t cr0 = vmread(VMCS_GUEST_CR0), cr4 = vmread(VMCS_GUEST_CR4), allowed = v->vm->cr4;
    set_long_mode(r);
    vmwrite(VMCS_CR0_SHADOW, r->cr0);
    vmwrite(VMCS_GUEST_CR0, (cr0 & ~(uint64_t)CR0_GUEST_OWNED) | (r->cr0 & CR0_GUEST_OWNED));
    vmwrite(VMCS_CR4_SHADOW, r->cr4);
    vmwrite(VMCS_GUEST_CR4, (cr4 & ~allowed) | r->cr4);
    if (r->flush)
        vcpu_attn(v, ATTN_TLB_FLUSH);
    vcpu_cr4_changed(v, r->cr4);
    return true;
}

/* MOV to a control register. false: #GP. */
static bool write_cr(struct Vcpu *v, int cr, uint64_t value)
{
    struct ControlRegs r = control_regs(v);
    if (cr == 0)
        return cr0_write(&r, value) && apply(v, &r);
    if (cr == 4)
        return cr4_write(&r, value) && apply(v, &r);
    if (value & ~CR8_CLASS)
        return false;
    vapic_write_cr8(v, value);
    return true;
}

/* What the controls do not ask for: CR3, CLTS and LMSW. */
static bool unexpected_access(struct Vcpu *v, int cr, int type)
{
    guest_kill(v, "unexpected access to CR%d (type %d) at rip 0x%lx", cr, type,
               vmread(VMCS_GUEST_RIP));
    return vmx_leave(v);
}

bool handle_craccess(struct Vcpu *v)
{
    uint64_t qual = vmread(VMCS_EXIT_QUALIFICATION);
    int cr = QUAL_CR(qual), type = QUAL_CR_TYPE(qual), reg = QUAL_CR_GPR(qual);
    if (type == CR_MOV_FROM && cr == 8) {
        vcpu_set_gpr(v, reg, vapic_read_cr8(v));
        return vmx_skip(v);
    }
    if (type != CR_MOV_TO || (cr != 0 && cr != 4 && cr != 8))
        return unexpected_access(v, cr, type);
    return write_cr(v, cr, vcpu_gpr(v, reg)) ? vmx_skip(v) : vmx_gp(v);
}

/* The first access to a debug register, or one while they are a debugger's. */
bool handle_movdr(struct Vcpu *v)
{
    uint64_t qual = vmread(VMCS_EXIT_QUALIFICATION);
    if (debug_owns_drs(v))
        return vmx_end(v, debug_movdr(v, QUAL_DR(qual), QUAL_DR_GPR(qual), qual & QUAL_DR_FROM));
    vcpu_use_drs(v);
    set_resume_flag();
    return vmx_resume(v);
}

/* The CPU has seen to CR4.OSXSAVE, and not always to the privilege level. */
bool handle_xsetbv(struct Vcpu *v)
{
    const struct Trapframe *tf = &v->env->env_tf;
    uint64_t value = (uint32_t)tf->tf_rax | tf->tf_rdx << 32;
    bool privileged = AR_DPL(vmread(VMCS_GUEST_SS_AR)) == 0;
    return vmx_end(v, privileged ? vcpu_xsetbv(v, tf->tf_rcx, value) : DO_GP);
}
