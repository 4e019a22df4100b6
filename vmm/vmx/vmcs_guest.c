/*
 * Controls and guest state of a new VMCS: the machine state that the Multiboot specification
 * promises to a kernel, which is 32-bit protected mode without paging (Multiboot "Machine state").
 */
#include <vmm/cr.h>
#include <vmm/cpuid.h>
#include <vmm/features.h>
#include <vmm/vmx/ctls.h>
#include <vmm/vmx/exit_msr.h>
#include <vmm/msr.h>
#include <vmm/vmx/vmcs_guest.h>
#include <vmm/vmx/vmx.h>

/* What the PAT holds after reset (SDM "Page Attribute Table"). */
#define PAT_RESET  0x0007040600070406ul
#define DR7_RESET  0x400
#define CODE_SEL   0x08
#define DATA_SEL   0x10
#define TSS_SEL    0x18
#define TSS_LIMIT  0x67
#define FLAT_LIMIT 0xffffffff

struct FieldValue {
    enum VmcsField field;
    uint64_t value;
};

static const struct FieldValue start_state[] = {
    { VMCS_GUEST_CS_SEL, CODE_SEL },
    { VMCS_GUEST_CS_LIMIT, FLAT_LIMIT },
    { VMCS_GUEST_CS_AR, AR_CODE32 },
    { VMCS_GUEST_SS_SEL, DATA_SEL },
    { VMCS_GUEST_SS_LIMIT, FLAT_LIMIT },
    { VMCS_GUEST_SS_AR, AR_DATA32 },
    { VMCS_GUEST_DS_SEL, DATA_SEL },
    { VMCS_GUEST_DS_LIMIT, FLAT_LIMIT },
    { VMCS_GUEST_DS_AR, AR_DATA32 },
    { VMCS_GUEST_ES_SEL, DATA_SEL },
    { VMCS_GUEST_ES_LIMIT, FLAT_LIMIT },
    { VMCS_GUEST_ES_AR, AR_DATA32 },
    { VMCS_GUEST_FS_SEL, DATA_SEL },
    { VMCS_GUEST_FS_LIMIT, FLAT_LIMIT },
    { VMCS_GUEST_FS_AR, AR_DATA32 },
    { VMCS_GUEST_GS_SEL, DATA_SEL },
    { VMCS_GUEST_GS_LIMIT, FLAT_LIMIT },
    { VMCS_GUEST_GS_AR, AR_DATA32 },
    { VMCS_GUEST_TR_SEL, TSS_SEL },
    { VMCS_GUEST_TR_LIMIT, TSS_LIMIT },
    { VMCS_GUEST_TR_AR, AR_TSS_BUSY },
    { VMCS_GUEST_LDTR_SEL, 0 },
    { VMCS_GUEST_LDTR_LIMIT, 0 },
    { VMCS_GUEST_LDTR_AR, AR_UNUSABLE },
    { VMCS_GUEST_CS_BASE, 0 },
    { VMCS_GUEST_SS_BASE, 0 },
    { VMCS_GUEST_DS_BASE, 0 },
    { VMCS_GUEST_ES_BASE, 0 },
    { VMCS_GUEST_FS_BASE, 0 },
    { VMCS_GUEST_GS_BASE, 0 },
    { VMCS_GUEST_TR_BASE, 0 },
    { VMCS_GUEST_LDTR_BASE, 0 },
    { VMCS_GUEST_GDTR_BASE, 0 },
    { VMCS_GUEST_GDTR_LIMIT, 0 },
    { VMCS_GUEST_IDTR_BASE, 0 },
    { VMCS_GUEST_IDTR_LIMIT, 0 },
    { VMCS_GUEST_CR3, 0 },
    { VMCS_GUEST_DR7, DR7_RESET },
    { VMCS_GUEST_RSP, 0 },
    { VMCS_GUEST_RFLAGS, FL_ONE },
    { VMCS_GUEST_EFER, 0 },
    { VMCS_GUEST_DEBUGCTL, 0 },
    { VMCS_GUEST_SYSENTER_CS, 0 },
    { VMCS_GUEST_SYSENTER_ESP, 0 },
    { VMCS_GUEST_SYSENTER_EIP, 0 },
    { VMCS_GUEST_INTERRUPTIBILITY, 0 },
    { VMCS_GUEST_ACTIVITY, 0 },
    { VMCS_GUEST_PENDING_DBG, 0 },
    { VMCS_LINK_POINTER, ~0ul },
};

/* Switched by the MSR areas. MSR_TSC_AUX is last: a CPU may not have it. */
const uint32_t switched_msrs[] = {
    [SWITCHED_KERNEL_GS_BASE] = MSR_KERNEL_GS_BASE,
    [SWITCHED_STAR] = MSR_STAR,
    [SWITCHED_LSTAR] = MSR_LSTAR,
    [SWITCHED_CSTAR] = MSR_CSTAR,
    [SWITCHED_SFMASK] = MSR_SFMASK,
    [SWITCHED_TSC_AUX] = MSR_TSC_AUX,
    0,
};
_Static_assert(ARRAY_SIZE(switched_msrs) == NSWITCHED_MSRS + 1, "size of the MSR areas");

/* The MSR areas: guest values are loaded at entry and stored at exit, host values loaded at exit.
 */
static void init_msr_areas(struct Vcpu *v)
{
    int n = 0;
    for (; switched_msrs[n] != 0; n++) {
        if (switched_msrs[n] == MSR_TSC_AUX && !(vmx_caps.proc2 & PROC2_RDTSCP))
            break; /* it is the last one of the list */
        vmx(v)->guest_msrs[n] = (struct MsrEntry){ .index = switched_msrs[n] };
    }
    vmwrite(VMCS_ENTRY_MSR_LOAD_ADDR, PADDR(vmx(v)->guest_msrs));
    vmwrite(VMCS_ENTRY_MSR_LOAD_COUNT, n);
    vmwrite(VMCS_EXIT_MSR_STORE_ADDR, PADDR(vmx(v)->guest_msrs));
    vmwrite(VMCS_EXIT_MSR_STORE_COUNT, n);
    vmwrite(VMCS_EXIT_MSR_LOAD_ADDR, PADDR(vmx(v)->host_msrs));
    vmwrite(VMCS_EXIT_MSR_LOAD_COUNT, n);
}

/* Secondary controls: instructions that the guest is not to have are #UD, by a control that is off,
 * or by an exit. */
static uint32_t proc2_of(const struct Vm *vm)
{
    uint32_t may = vmx_ctl_capability(CTL_PROC2) >> 32;
    uint32_t off =
        (vm_has(vm, rdtscp) ? 0 : PROC2_RDTSCP) | (vm_has(vm, invpcid) ? 0 : PROC2_INVPCID);
    uint32_t on = (vm_has(vm, rdrand) ? 0 : PROC2_RDRAND) | (vm_has(vm, rdseed) ? 0 : PROC2_RDSEED);
    return (vmx_caps.proc2 & ~off) | (on & may);
}

static void init_controls(struct Vcpu *v)
{
    vmx(v)->proc = vmx_caps.proc;
    vmwrite(VMCS_PIN_CONTROLS, vmx_caps.pin);
    vmwrite(VMCS_PROC_CONTROLS, vmx(v)->proc);
    vmwrite(VMCS_PROC2_CONTROLS, proc2_of(v->vm));
    vmwrite(VMCS_EXIT_CONTROLS, vmx_caps.exit);
    vmwrite(VMCS_ENTRY_CONTROLS, vmx_caps.entry);
    vmwrite(VMCS_ENTRY_INTR_INFO, 0);
    vmwrite(VMCS_CR3_TARGET_COUNT, 0);
    vmwrite(VMCS_TSC_OFFSET, v->tsc_offset);
    vmwrite(VMCS_MSR_BITMAP, PADDR(vmx(v)->msr_bitmap));
    vmx(v)->eptp = PADDR(v->vm->tables) | EPTP_MT_WB | EPTP_WALK4;
    vmwrite(VMCS_EPT_POINTER, vmx(v)->eptp);
    if (vmx_caps.proc2 & PROC2_ENCLS)
        vmwrite(VMCS_ENCLS_BITMAP, ~0ul);
    if (vmx_caps.proc2 & PROC2_VPID)
        vmwrite(VMCS_VPID, ENVX(v->env->env_id) + 1);

    vmwrite(VMCS_EXCEPTION_BITMAP, vcpu_exceptions(v));
    vmwrite(VMCS_PF_ERROR_MASK, 0); /* mask and match 0: all page faults, if their bit is set */
    vmwrite(VMCS_PF_ERROR_MATCH, 0);
}

void vmcs_guest_init(struct Vcpu *v)
{
    cpuid_vcpu_init(v);
    init_controls(v);
    if (!vm_has(v->vm, rdtscp))
        msr_bitmap_stop(vmx(v)->msr_bitmap, MSR_TSC_AUX);
    init_msr_areas(v);
    for (size_t i = 0; i < ARRAY_SIZE(start_state); i++)
        vmwrite(start_state[i].field, start_state[i].value);
    vmwrite(VMCS_GUEST_RIP, v->vm->entry);
    if (vmx_caps.entry & ENTRYC_LOAD_PAT)
        vmwrite(VMCS_GUEST_PAT, PAT_RESET);

    /* An unrestricted guest is free of the fixed bits PE and PG. */
    uint64_t fixed = vmx_caps.cr0_fixed0 & ~(uint64_t)(CR0_PE | CR0_PG);
    vmwrite(VMCS_GUEST_CR0, fixed | CR0_PE | CR0_NE | CR0_ET);
    vmwrite(VMCS_CR0_SHADOW, CR0_PE | CR0_NE | CR0_ET);
    vmwrite(VMCS_CR0_MASK, ~(uint64_t)CR0_GUEST_OWNED);
    vmwrite(VMCS_GUEST_CR4, vmx_caps.cr4_fixed0 | (rcr4() & CR4_MCE));
    vmwrite(VMCS_CR4_SHADOW, 0);
    vmwrite(VMCS_CR4_MASK, ~v->vm->cr4 | CR4_WATCHED);
}
