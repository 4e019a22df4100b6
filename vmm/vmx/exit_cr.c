/*
 * Control and debug registers. The guest owns the bits that concern only itself; the rest of CR0
 * and CR4 is the host's, and the guest sees a shadow. An exit happens when a guest changes a
 * host-owned bit, and then the whole instruction is done here, by the rules of SDM "MOV-Move
 * to/from Control Registers".
 */
#include <vmm/debug/debug.h>
#include <vmm/internal.h>

#define CR0_DEFINED                                                                            \
    (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_NW | CR0_CD | \
     CR0_PG)
#define CR4_VME (1 << 0)
#define CR4_PVI (1 << 1)
#define CR4_PCE (1 << 8)
#define CR4_GUEST                                                                                \
    (CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCE | CR4_OSFXSR | \
     CR4_OSXMMEXCPT | CR4_UMIP | CR4_FSGSBASE | CR4_SMEP | CR4_SMAP)
#define CR4_PAGING (CR4_PSE | CR4_PAE | CR4_PGE | CR4_SMEP | CR4_SMAP)
#define CR8_CLASS  0xful
#define GPR_RSP    4

uint64_t cr4_allowed(void)
{
    return CR4_GUEST & vmx_caps.cr4_fixed1;
}

/* General registers by their number in instructions; RSP is in the VMCS. */
static const uint16_t gpr_offset[16] = {
    offsetof(struct Trapframe, tf_rax),
    offsetof(struct Trapframe, tf_rcx),
    offsetof(struct Trapframe, tf_rdx),
    offsetof(struct Trapframe, tf_rbx),
    0,
    offsetof(struct Trapframe, tf_rbp),
    offsetof(struct Trapframe, tf_rsi),
    offsetof(struct Trapframe, tf_rdi),
    offsetof(struct Trapframe, tf_r8),
    offsetof(struct Trapframe, tf_r9),
    offsetof(struct Trapframe, tf_r10),
    offsetof(struct Trapframe, tf_r11),
    offsetof(struct Trapframe, tf_r12),
    offsetof(struct Trapframe, tf_r13),
    offsetof(struct Trapframe, tf_r14),
    offsetof(struct Trapframe, tf_r15),
};

static uint64_t *gpr(struct Guest *g, int n)
{
    return (uint64_t *)((char *)&g->env->env_tf + gpr_offset[n]);
}

uint64_t gpr_read(struct Guest *g, int n)
{
    uint64_t v = n == GPR_RSP ? vmread(VMCS_GUEST_RSP) : *gpr(g, n);
    return guest_in_64bit() ? v : (uint32_t)v;
}

void gpr_write(struct Guest *g, int n, uint64_t v)
{
    if (n == GPR_RSP)
        vmwrite(VMCS_GUEST_RSP, v);
    else
        *gpr(g, n) = v;
}

static void set_long_mode(bool on)
{
    uint64_t efer = vmread(VMCS_GUEST_EFER), entry = vmread(VMCS_ENTRY_CONTROLS);
    vmwrite(VMCS_GUEST_EFER, on ? efer | EFER_LMA : efer & ~(uint64_t)EFER_LMA);
    vmwrite(VMCS_ENTRY_CONTROLS, on ? entry | ENTRYC_IA32E : entry & ~(uint64_t)ENTRYC_IA32E);
}

/* Paging goes on. false: #GP. */
static bool paging_on(struct Guest *g)
{
    bool pae = vmread(VMCS_GUEST_CR4) & CR4_PAE;
    if (!(vmread(VMCS_GUEST_EFER) & EFER_LME))
        return !pae || guest_load_pdptes(g, vmread(VMCS_GUEST_CR3));
    if (!pae || (vmread(VMCS_GUEST_CS_AR) & AR_L) || AR_TYPE(vmread(VMCS_GUEST_TR_AR)) != AR_TSS)
        return false;
    set_long_mode(true);
    return true;
}

/* Paging goes off. false: #GP. */
static bool paging_off(void)
{
    if (!(vmread(VMCS_GUEST_EFER) & EFER_LMA))
        return true;
    if (vmread(VMCS_GUEST_CS_AR) & AR_L)
        return false;
    set_long_mode(false);
    return true;
}

/* MOV to CR0 of v. false: #GP. */
static bool write_cr0(struct Guest *g, uint64_t v)
{
    uint64_t old = vmread(VMCS_GUEST_CR0);
    if (v >> 32 || ((v & CR0_PG) && !(v & CR0_PE)) || ((v & CR0_NW) && !(v & CR0_CD)))
        return false;
    if (!(old & CR0_PG) && (v & CR0_PG) && !paging_on(g))
        return false;
    if ((old & CR0_PG) && !(v & CR0_PG) && !paging_off())
        return false;
    vmwrite(VMCS_CR0_SHADOW, (v & CR0_DEFINED) | CR0_ET);
    vmwrite(VMCS_GUEST_CR0, (old & ~(uint64_t)CR0_GUEST_OWNED) | (v & CR0_GUEST_OWNED));
    if ((v ^ old) & (CR0_PG | CR0_WP))
        guest_attn(g, ATTN_TLB_FLUSH);
    return true;
}

/* MOV to CR4 of v. false: #GP. All that a guest may set it owns, so what exits sets or clears a bit
 * that it may not have. */
static bool write_cr4(struct Guest *g, uint64_t v)
{
    uint64_t old = vmread(VMCS_GUEST_CR4), allowed = cr4_allowed();
    bool paging = vmread(VMCS_GUEST_CR0) & CR0_PG;
    bool long_mode = vmread(VMCS_GUEST_EFER) & EFER_LMA;
    if ((v & ~allowed) || (long_mode && !(v & CR4_PAE)))
        return false;
    bool pdptes = paging && !long_mode && (v & CR4_PAE) && ((v ^ old) & CR4_PAGING);
    if (pdptes && !guest_load_pdptes(g, vmread(VMCS_GUEST_CR3)))
        return false;
    vmwrite(VMCS_CR4_SHADOW, v);
    vmwrite(VMCS_GUEST_CR4, (old & ~allowed) | v);
    if ((v ^ old) & CR4_PAGING)
        guest_attn(g, ATTN_TLB_FLUSH);
    return true;
}

static bool write_cr8(struct Guest *g, uint64_t v)
{
    if (v & ~CR8_CLASS)
        return false;
    vapic_write_cr8(g, v);
    return true;
}

/* What the controls do not ask for: CR3, CLTS and LMSW. */
static bool unexpected_access(struct Guest *g, int cr, int type)
{
    guest_kill(g, "unexpected access to CR%d (type %d) at rip 0x%lx", cr, type,
               vmread(VMCS_GUEST_RIP));
    return leave(g);
}

bool handle_craccess(struct Guest *g)
{
    uint64_t qual = vmread(VMCS_EXIT_QUALIFICATION);
    int cr = QUAL_CR(qual), type = QUAL_CR_TYPE(qual), reg = QUAL_CR_GPR(qual);
    bool ok = false;
    if (type == CR_MOV_FROM && cr == 8) {
        gpr_write(g, reg, vapic_read_cr8(g));
        return skip(g);
    }
    if (type == CR_MOV_TO && cr == 0)
        ok = write_cr0(g, gpr_read(g, reg));
    else if (type == CR_MOV_TO && cr == 4)
        ok = write_cr4(g, gpr_read(g, reg));
    else if (type == CR_MOV_TO && cr == 8)
        ok = write_cr8(g, gpr_read(g, reg));
    else
        return unexpected_access(g, cr, type);
    return ok ? skip(g) : inject_gp(g);
}

void use_debug_registers(struct Guest *g)
{
    if (!g->dr_live) {
        g->dr_live = true;
        load_debug_registers(g);
    }
    g->proc &= ~PROC_MOV_DR;
    vmwrite(VMCS_PROC_CONTROLS, g->proc);
}

/* The first access to a debug register, or one while they are a debugger's. */
bool handle_movdr(struct Guest *g)
{
    if (debug_owns_drs(g))
        return debug_movdr(g);
    use_debug_registers(g);
    set_resume_flag();
    return resume(g);
}
