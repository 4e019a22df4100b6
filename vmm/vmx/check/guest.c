/*
 * The rules for the guest-state area but for its segment registers (SDM "Checks on the Guest State
 * Area").
 */
#include <vmm/vmx/check/check.h>

#define HIGH_HALF ~(uint64_t)UINT32_MAX
#define EFER_BITS ((uint64_t)(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE))
/* IA32_DEBUGCTL: LBR, BTF and from bit 6 to 15 tracing, freezing, RTM; bit 2 detects bus locks */
#define DEBUGCTL_BITS 0xffc7ul
#define DEBUGCTL_BTF  (1ul << 1)

/* ---- control registers, debug registers, MSRs ---- */

static bool guest_cr0(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    (void)arg;
    const uint64_t unchecked = CR0_NW | CR0_CD; /* VM entry does not load them */
    uint64_t free_bits = unchecked;
    if (v->word[IN_MODE] & MODE_URG)
        free_bits |= CR0_PE | CR0_PG;
    return ((value | free_bits) & vmx_caps.cr0_fixed0) == vmx_caps.cr0_fixed0 &&
           (value & ~free_bits & ~vmx_caps.cr0_fixed1) == 0;
}

static bool paging_protected(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    (void)v, (void)arg;
    return !(value & CR0_PG) || (value & CR0_PE);
}

static bool efer_lma(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    (void)arg;
    return !!(value & EFER_LMA) == !!(v->word[IN_ENTRY] & ENTRYC_IA32E);
}

static bool efer_lme(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    (void)arg;
    return !(v->cr0 & CR0_PG) || !!(value & EFER_LMA) == !!(value & EFER_LME);
}

static const struct CheckRule register_rules[] = {
    { VMCS_GUEST_CR0, ALWAYS, guest_cr0, 0,
      "bits must be as IA32_VMX_CR0_FIXED0 and FIXED1 say (PE and PG only in a restricted guest)" },
    { VMCS_GUEST_CR0, ALWAYS, paging_protected, 0, "PG needs PE" },
    { VMCS_GUEST_CR4, ALWAYS, check_fixed_cr4, 0,
      "bits must be as IA32_VMX_CR4_FIXED0 and FIXED1 say" },
    { VMCS_GUEST_DEBUGCTL, IN_ENTRY, ENTRYC_LOAD_DEBUG, check_zero_bits, ~DEBUGCTL_BITS,
      "reserved bits must be 0" },
    { VMCS_GUEST_CR0, IN_MODE, MODE_IA32E, check_one_bits, CR0_PG, "PG must be 1 in IA-32e mode" },
    { VMCS_GUEST_CR4, IN_MODE, MODE_IA32E, check_one_bits, CR4_PAE,
      "PAE must be 1 in IA-32e mode" },
    { VMCS_GUEST_CR4, IN_MODE, MODE_LEGACY, check_zero_bits, CR4_PCIDE,
      "PCIDE must be 0 outside of IA-32e mode" },
    { VMCS_GUEST_CR3, ALWAYS, check_physical, 0, "must be within the physical-address width" },
    { VMCS_GUEST_DR7, IN_ENTRY, ENTRYC_LOAD_DEBUG, check_zero_bits, HIGH_HALF,
      "bits 63:32 must be 0" },
    { VMCS_GUEST_SYSENTER_ESP, ALWAYS, check_canonical, 0, "must be canonical" },
    { VMCS_GUEST_SYSENTER_EIP, ALWAYS, check_canonical, 0, "must be canonical" },
    { VMCS_GUEST_PERF_CTRL, IN_ENTRY, ENTRYC_LOAD_PERF, check_perf, 0,
      "must enable only counters that the CPU has" },
    { VMCS_GUEST_PAT, IN_ENTRY, ENTRYC_LOAD_PAT, check_pat, 0,
      "each byte must be a memory type (0, 1, 4, 5, 6 or 7)" },
    { VMCS_GUEST_EFER, IN_ENTRY, ENTRYC_LOAD_EFER, check_zero_bits, ~EFER_BITS,
      "reserved bits must be 0" },
    { VMCS_GUEST_EFER, IN_ENTRY, ENTRYC_LOAD_EFER, efer_lma, 0,
      "LMA must be as the control IA-32e mode guest says" },
    { VMCS_GUEST_EFER, IN_ENTRY, ENTRYC_LOAD_EFER, efer_lme, 0,
      "LME must be as LMA when paging is on" },
    { VMCS_GUEST_BNDCFGS, IN_ENTRY, ENTRYC_LOAD_BND, check_zero_bits, 0xffc,
      "bits 11:2 must be 0" },
    { VMCS_GUEST_BNDCFGS, IN_ENTRY, ENTRYC_LOAD_BND, check_canonical, 0, "must be canonical" },
};

/* ---- descriptor tables ---- */

static const struct CheckRule table_rules[] = {
    { VMCS_GUEST_GDTR_BASE, ALWAYS, check_canonical, 0, "must be canonical" },
    { VMCS_GUEST_IDTR_BASE, ALWAYS, check_canonical, 0, "must be canonical" },
    { VMCS_GUEST_GDTR_LIMIT, ALWAYS, check_zero_bits, 0xffff0000, "bits 31:16 must be 0" },
    { VMCS_GUEST_IDTR_LIMIT, ALWAYS, check_zero_bits, 0xffff0000, "bits 31:16 must be 0" },
};

/* ---- RIP and RFLAGS ---- */

/* In 64-bit mode the bits beyond the linear-address width must be equal to each other, no more. */
static bool rip_width(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    (void)arg;
    if (!(v->word[IN_ENTRY] & ENTRYC_IA32E) || !(v->cs_ar & AR_L))
        return value >> 32 == 0;
    int64_t beyond = (int64_t)value >> v->linear_bits;
    return beyond == 0 || beyond == -1;
}

static bool v86_possible(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    (void)arg;
    return !(value & FL_VM) || (!(v->word[IN_ENTRY] & ENTRYC_IA32E) && (v->cr0 & CR0_PE));
}

static bool injects(const struct CheckView *v, uint32_t type)
{
    return (v->info & EVENT_VALID) && (v->info & EVENT_TYPE) == type;
}

static bool open_for_interrupt(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    (void)arg;
    return !injects(v, EVENT_EXTINT) || (value & FL_IF);
}

static const struct CheckRule flow_rules[] = {
    { VMCS_GUEST_RIP, ALWAYS, rip_width, 0,
      "bits 63:32 must be 0 outside of 64-bit mode; in it, all bits beyond the linear-address "
      "width must be equal" },
    { VMCS_GUEST_RFLAGS, ALWAYS, check_zero_bits, 0xffffffffffc08028, "reserved bits must be 0" },
    { VMCS_GUEST_RFLAGS, ALWAYS, check_one_bits, FL_ONE, "bit 1 must be 1" },
    { VMCS_GUEST_RFLAGS, ALWAYS, v86_possible, 0, "VM must be 0 in IA-32e mode and in real mode" },
    { VMCS_GUEST_RFLAGS, ALWAYS, open_for_interrupt, 0,
      "IF must be 1 when an external interrupt is injected" },
};

/* ---- activity, interruptibility, pending debug exceptions, link pointer ---- */

static bool activity_known(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    (void)arg;
    const uint64_t support[] = { ~0ul, VMX_MISC_HLT, VMX_MISC_SHUTDOWN, VMX_MISC_WAIT_SIPI };
    return value < ARRAY_SIZE(support) && (v->misc & support[value]);
}

static bool halt_privileged(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    (void)arg;
    return value != ACTIVITY_HLT || AR_DPL(v->ss_ar) == 0;
}

static bool blocked_active(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    (void)arg;
    return value == ACTIVITY_ACTIVE || !(v->block & BLOCK_INSTRUCTION);
}

/* Which events may enter a CPU that is not active. */
static bool wakes(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    (void)arg;
    uint32_t type = v->info & EVENT_TYPE, vector = v->info & EVENT_VECTOR;
    bool machine_check = type == EVENT_EXCEPTION && vector == T_MCHK;
    switch (value) {
    case ACTIVITY_ACTIVE:
        return true;
    case ACTIVITY_HLT:
        return type == EVENT_EXTINT || type == EVENT_NMI || type == INTR_TYPE_OTHER ||
               machine_check || (type == EVENT_EXCEPTION && vector == T_DEBUG);
    case ACTIVITY_SHUTDOWN:
        return type == EVENT_NMI || machine_check;
    }
    return false;
}

static bool one_block(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    (void)v, (void)arg;
    return (value & BLOCK_INSTRUCTION) != BLOCK_INSTRUCTION;
}

static bool sti_open(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    (void)arg;
    return !(value & BLOCK_STI) || (v->rflags & FL_IF);
}

static bool interrupt_unblocked(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    return !injects(v, EVENT_EXTINT) || !(value & arg);
}

static bool nmi_unblocked(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    return !injects(v, EVENT_NMI) || !(value & arg);
}

static bool enclave_unblocked(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    const uint32_t sgx = 1u << 2; /* CPUID.(EAX=07H,ECX=0):EBX */
    (void)v, (void)arg;
    return !(value & BLOCK_ENCLAVE) || (!(value & BLOCK_MOV_SS) && (cpuid(7, 0).ebx & sgx));
}

/* A trap by TF that waits for the end of a blocking or of HLT is pending as BS. */
static bool single_step_pending(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    (void)arg;
    if (!(v->block & BLOCK_INSTRUCTION) && v->activity != ACTIVITY_HLT)
        return true;
    bool traps = (v->rflags & FL_TF) && !(v->debugctl & DEBUGCTL_BTF);
    return !!(value & PENDING_DBG_BS) == traps;
}

static bool link_elsewhere(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    physaddr_t current;
    (void)v, (void)arg;
    asm volatile("vmptrst %0" : "=m"(current) : : "memory", "cc");
    return value != current;
}

static bool link_revision(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    uint32_t word, shadow = v->word[IN_PROC2] & PROC2_SHADOW_VMCS ? 1u << 31 : 0;
    if (!check_physical(v, value, arg) || !check_read_physical(value, &word, sizeof(word)))
        return true; /* the rule above, or a VMCS outside of RAM */
    return word == ((uint32_t)(v->basic & VMX_BASIC_REVISION) | shadow);
}

static const struct CheckRule state_rules[] = {
    { VMCS_GUEST_ACTIVITY, ALWAYS, activity_known, 0,
      "must be an activity state that the CPU has (0 active, 1 HLT, 2 shutdown, 3 wait-for-SIPI)" },
    { VMCS_GUEST_ACTIVITY, ALWAYS, halt_privileged, 0, "HLT needs DPL 0 in SS" },
    { VMCS_GUEST_ACTIVITY, ALWAYS, blocked_active, 0,
      "must be active while STI or MOV SS blocks interrupts" },
    { VMCS_GUEST_ACTIVITY, IN_MODE, MODE_INJECT, wakes, 0,
      "must be one in which the injected event can be taken" },
    { VMCS_GUEST_INTERRUPTIBILITY, ALWAYS, check_zero_bits, 0xffffffe0, "bits 31:5 must be 0" },
    { VMCS_GUEST_INTERRUPTIBILITY, ALWAYS, one_block, 0,
      "blocking by STI and by MOV SS exclude each other" },
    { VMCS_GUEST_INTERRUPTIBILITY, ALWAYS, sti_open, 0, "blocking by STI needs RFLAGS.IF" },
    { VMCS_GUEST_INTERRUPTIBILITY, IN_MODE, MODE_INJECT, interrupt_unblocked, BLOCK_INSTRUCTION,
      "neither STI nor MOV SS may block when an external interrupt is injected" },
    { VMCS_GUEST_INTERRUPTIBILITY, IN_MODE, MODE_INJECT, nmi_unblocked, BLOCK_MOV_SS,
      "MOV SS must not block when an NMI is injected" },
    { VMCS_GUEST_INTERRUPTIBILITY, IN_PIN, PIN_VIRTUAL_NMI, nmi_unblocked, BLOCK_NMI,
      "NMIs must not be blocked when a virtual NMI is injected" },
    { VMCS_GUEST_INTERRUPTIBILITY, ALWAYS, check_zero_bits, BLOCK_SMI,
      "blocking by SMI must be 0 outside of system-management mode" },
    { VMCS_GUEST_INTERRUPTIBILITY, ALWAYS, enclave_unblocked, 0,
      "enclave interruption needs SGX and excludes blocking by MOV SS" },
    { VMCS_GUEST_PENDING_DBG, ALWAYS, check_zero_bits, 0xfffffffffffea7f0,
      "reserved bits must be 0" },
    { VMCS_GUEST_PENDING_DBG, ALWAYS, single_step_pending, 0,
      "while STI, MOV SS or HLT holds it back, BS must be 1 exactly if TF is (and BTF is not)" },
    { VMCS_LINK_POINTER, IN_MODE, MODE_LINK, check_physical, 0xfff,
      "must be all ones, or aligned to a page within the physical-address width" },
    { VMCS_LINK_POINTER, IN_MODE, MODE_LINK, link_elsewhere, 0,
      "must not point to the current VMCS" },
    { VMCS_LINK_POINTER, IN_MODE, MODE_LINK, link_revision, 0xfff,
      "must be all ones, or point to a VMCS with this CPU's revision" },
};

/* ---- PAE page-directory pointers; without EPT the CPU reads them from memory, but this VMM always
 * has EPT ---- */

static bool pdpte(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    (void)arg;
    const uint64_t reserved = 0x1e6;
    return !(value & PTE_P) || ((value & reserved) == 0 && value >> v->physical_bits == 0);
}

/* The fields are in use only with EPT. */
static void check_pdptes(struct CheckView *v, const struct CheckSection *s)
{
    if (!check_applies(v, IN_MODE, MODE_PAE) || !check_applies(v, IN_PROC2, PROC2_EPT))
        return;
    for (int i = 0; i < 4; i++) {
        enum VmcsField field = VMCS_GUEST_PDPTE0 + i * (VMCS_GUEST_PDPTE1 - VMCS_GUEST_PDPTE0);
        uint64_t value = vmread(field);
        if (!pdpte(v, value, 0))
            check_violation(v, s, field, value,
                            "bits 2:1, 8:5 and those beyond the physical-address width must be 0 "
                            "in an entry that is present");
    }
}

const struct CheckSection check_guest[] = {
    { "Checks on Guest Control Registers, Debug Registers, and MSRs", CHECK_GUEST,
      LENGTH(register_rules), NULL },
    { "Checks on Guest Descriptor-Table Registers", CHECK_GUEST, LENGTH(table_rules), NULL },
    { "Checks on Guest RIP, RFLAGS, and SSP", CHECK_GUEST, LENGTH(flow_rules), NULL },
    { "Checks on Guest Non-Register State", CHECK_GUEST, LENGTH(state_rules), NULL },
    { "Checks on Guest Page-Directory-Pointer-Table Entries", CHECK_GUEST, NULL, 0, check_pdptes },
    { NULL, CHECK_OK, NULL, 0, NULL },
};
