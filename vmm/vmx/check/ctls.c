/*
 * The rules for the VMX controls (SDM "Checks on VMX Controls").
 */
#include <vmm/vmx/check/check.h>

#define PAGE_BITS 0xffful
#define MSR_BITS  0xful /* an MSR area is aligned to 16 bytes */

/* arg: enum CtlWord */
static bool allowed(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    (void)v;
    uint64_t cap = vmx_ctl_capability(arg);
    uint32_t must = (uint32_t)cap, may = (uint32_t)(cap >> 32);
    return (value & must) == must && (value & ~(uint64_t)may) == 0;
}

static bool target_count(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    (void)arg;
    return value <=
           (v->misc & VMX_MISC_CR3_TARGETS) / (VMX_MISC_CR3_TARGETS & -VMX_MISC_CR3_TARGETS);
}

/* With a TPR shadow that the CPU virtualizes no further, an exit must not be due at once. */
static bool threshold_bits(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    (void)arg;
    return (v->word[IN_PROC2] & PROC2_VIRTUAL_INTR) || (value & ~0xful) == 0;
}

static bool threshold_reached(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    uint32_t tpr;
    uint64_t page;
    const uint64_t tpr_offset = 0x80; /* SDM "Virtual APIC State" */
    (void)arg;
    if ((v->word[IN_PROC2] & (PROC2_VIRTUAL_INTR | PROC2_APIC_ACCESS)) ||
        !vmread_optional(VMCS_VIRTUAL_APIC_ADDR, &page) ||
        !check_read_physical(page + tpr_offset, &tpr, sizeof(tpr)))
        return true;
    return (value & 0xf) <= (tpr >> 4 & 0xf);
}

/* A word may have the bits in the low half of arg only if another one has those in the high half.
 */
#define NEEDS(word, bit) ((uint64_t)(word) << 32 | (bit))
static bool has(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    (void)value;
    return v->word[arg >> 32] & (uint32_t)arg;
}

static bool lacks(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    return !has(v, value, arg);
}

static bool not_zero(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    (void)v, (void)arg;
    return value != 0;
}

static bool at_most(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    (void)v;
    return value <= arg;
}

/* EPTP: SDM "Extended-Page-Table Pointer (EPTP)" */
static bool eptp_type(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    (void)v, (void)arg;
    uint64_t type = value & 7;
    return (type == EPTP_MT_WB && (vmx_caps.ept_vpid & EPT_CAP_WB)) ||
           (type == 0 && (vmx_caps.ept_vpid & EPT_CAP_UC));
}

static bool eptp_walk(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    (void)v, (void)arg;
    uint64_t levels = (value >> 3 & 7) + 1;
    return (levels == 4 && (vmx_caps.ept_vpid & EPT_CAP_WALK4)) ||
           (levels == 5 && (vmx_caps.ept_vpid & EPT_CAP_WALK5));
}

static bool eptp_reserved(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    (void)arg;
    uint64_t reserved = 0xf80;
    if (vmx_caps.ept_vpid & EPT_CAP_SHADOW_STACK)
        reserved &= ~0x80ul;
    return (value & reserved) == 0 && value >> v->physical_bits == 0;
}

static bool eptp_dirty(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    (void)v, (void)arg;
    const uint64_t enable = 1ul << 6;
    return !(value & enable) || (vmx_caps.ept_vpid & EPT_CAP_AD);
}

static bool vm_functions(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    (void)v, (void)arg;
    return (value & ~rdmsr(MSR_VMX_VMFUNC)) == 0;
}

static bool eptp_list(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    uint64_t functions;
    return !vmread_optional(VMCS_VMFUNC_CONTROLS, &functions) ||
           !(functions & VMFUNC_EPTP_SWITCH) || check_physical(v, value, arg);
}

#define ADDRESS_WORDS "must be aligned to a page, within the physical-address width"

static const struct CheckRule execution_rules[] = {
    { VMCS_PIN_CONTROLS, ALWAYS, allowed, CTL_PIN,
      "bits must be as the capability MSR of the pin-based controls says" },
    { VMCS_PROC_CONTROLS, ALWAYS, allowed, CTL_PROC,
      "bits must be as the capability MSR of the primary controls says" },
    { VMCS_PROC2_CONTROLS, IN_PROC, PROC_SECONDARY, allowed, CTL_PROC2,
      "bits must be as the capability MSR of the secondary controls says" },
    { VMCS_CR3_TARGET_COUNT, ALWAYS, target_count, 0,
      "must not be greater than the number of CR3 targets that the CPU has" },
    { VMCS_IO_BITMAP_A, IN_PROC, PROC_IO_BITMAPS, check_physical, PAGE_BITS, ADDRESS_WORDS },
    { VMCS_IO_BITMAP_B, IN_PROC, PROC_IO_BITMAPS, check_physical, PAGE_BITS, ADDRESS_WORDS },
    { VMCS_MSR_BITMAP, IN_PROC, PROC_MSR_BITMAP, check_physical, PAGE_BITS, ADDRESS_WORDS },
    { VMCS_VIRTUAL_APIC_ADDR, IN_PROC, PROC_TPR_SHADOW, check_physical, PAGE_BITS, ADDRESS_WORDS },
    { VMCS_TPR_THRESHOLD, IN_PROC, PROC_TPR_SHADOW, threshold_bits, 0,
      "bits 31:4 must be 0 without virtual-interrupt delivery" },
    { VMCS_TPR_THRESHOLD, IN_PROC, PROC_TPR_SHADOW, threshold_reached, 0,
      "must not be greater than bits 7:4 of the virtual TPR" },
    { VMCS_PROC2_CONTROLS, IN_PROC2, PROC2_X2APIC, has, NEEDS(IN_PROC, PROC_TPR_SHADOW),
      "virtual x2APIC mode needs a TPR shadow" },
    { VMCS_PROC2_CONTROLS, IN_PROC2, PROC2_APIC_REGS, has, NEEDS(IN_PROC, PROC_TPR_SHADOW),
      "virtual APIC registers need a TPR shadow" },
    { VMCS_PROC2_CONTROLS, IN_PROC2, PROC2_VIRTUAL_INTR, has, NEEDS(IN_PROC, PROC_TPR_SHADOW),
      "virtual-interrupt delivery needs a TPR shadow" },
    { VMCS_PIN_CONTROLS, IN_PIN, PIN_VIRTUAL_NMI, has, NEEDS(IN_PIN, PIN_NMI),
      "virtual NMIs need NMI exiting" },
    { VMCS_PROC_CONTROLS, IN_PROC, PROC_NMI_WINDOW, has, NEEDS(IN_PIN, PIN_VIRTUAL_NMI),
      "NMI-window exiting needs virtual NMIs" },
    { VMCS_APIC_ACCESS_ADDR, IN_PROC2, PROC2_APIC_ACCESS, check_physical, PAGE_BITS,
      ADDRESS_WORDS },
    { VMCS_PROC2_CONTROLS, IN_PROC2, PROC2_X2APIC, lacks, NEEDS(IN_PROC2, PROC2_APIC_ACCESS),
      "virtual x2APIC mode excludes virtual APIC accesses" },
    { VMCS_PROC2_CONTROLS, IN_PROC2, PROC2_VIRTUAL_INTR, has, NEEDS(IN_PIN, PIN_EXTINT),
      "virtual-interrupt delivery needs external-interrupt exiting" },
    { VMCS_PIN_CONTROLS, IN_PIN, PIN_POSTED, has, NEEDS(IN_PROC2, PROC2_VIRTUAL_INTR),
      "posted interrupts need virtual-interrupt delivery" },
    { VMCS_PIN_CONTROLS, IN_PIN, PIN_POSTED, has, NEEDS(IN_EXIT, EXITC_ACK_INTR),
      "posted interrupts need acknowledge interrupt on exit" },
    { VMCS_POSTED_VECTOR, IN_PIN, PIN_POSTED, at_most, 255, "must be a vector, 0 to 255" },
    { VMCS_POSTED_DESC_ADDR, IN_PIN, PIN_POSTED, check_physical, 0x3f,
      "must be aligned to 64 bytes, within the physical-address width" },
    { VMCS_VPID, IN_PROC2, PROC2_VPID, not_zero, 0, "must not be 0, which is the host's" },
    { VMCS_EPT_POINTER, IN_PROC2, PROC2_EPT, eptp_type, 0,
      "bits 2:0 must be a memory type that the CPU allows for EPT (6: write-back, 0: uncached)" },
    { VMCS_EPT_POINTER, IN_PROC2, PROC2_EPT, eptp_walk, 0,
      "bits 5:3 must be the length of the page walk less 1 (3)" },
    { VMCS_EPT_POINTER, IN_PROC2, PROC2_EPT, eptp_dirty, 0,
      "bit 6 must be 0 on a CPU without accessed and dirty flags for EPT" },
    { VMCS_EPT_POINTER, IN_PROC2, PROC2_EPT, eptp_reserved, 0,
      "bits 11:7 and those beyond the physical-address width must be 0" },
    { VMCS_PROC2_CONTROLS, IN_PROC2, PROC2_PML, has, NEEDS(IN_PROC2, PROC2_EPT),
      "the page-modification log needs EPT" },
    { VMCS_PML_ADDR, IN_PROC2, PROC2_PML, check_physical, PAGE_BITS, ADDRESS_WORDS },
    { VMCS_PROC2_CONTROLS, IN_PROC2, PROC2_UNRESTRICTED, has, NEEDS(IN_PROC2, PROC2_EPT),
      "an unrestricted guest needs EPT" },
    { VMCS_PROC2_CONTROLS, IN_PROC2, PROC2_MODE_EXEC, has, NEEDS(IN_PROC2, PROC2_EPT),
      "mode-based execute control needs EPT" },
    { VMCS_PROC2_CONTROLS, IN_PROC2, PROC2_SUB_PAGE, has, NEEDS(IN_PROC2, PROC2_EPT),
      "sub-page write permissions need EPT" },
    { VMCS_PROC2_CONTROLS, IN_PROC2, PROC2_PT_GPA, has, NEEDS(IN_PROC2, PROC2_EPT),
      "guest-physical addresses in Processor Trace need EPT" },
    { VMCS_VMFUNC_CONTROLS, IN_PROC2, PROC2_VMFUNC, vm_functions, 0,
      "bits must be as IA32_VMX_VMFUNC says" },
    { VMCS_EPTP_LIST_ADDR, IN_PROC2, PROC2_VMFUNC, eptp_list, PAGE_BITS, ADDRESS_WORDS },
    { VMCS_VMREAD_BITMAP, IN_PROC2, PROC2_SHADOW_VMCS, check_physical, PAGE_BITS, ADDRESS_WORDS },
    { VMCS_VMWRITE_BITMAP, IN_PROC2, PROC2_SHADOW_VMCS, check_physical, PAGE_BITS, ADDRESS_WORDS },
    { VMCS_VE_INFO_ADDR, IN_PROC2, PROC2_VE, check_physical, PAGE_BITS, ADDRESS_WORDS },
};

/* arg: field with the number of entries. The area begins aligned and ends within the width. */
static bool msr_area(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    uint64_t count = vmread(arg);
    uint64_t end = value + count * sizeof(struct MsrEntry) - 1;
    return count == 0 || (check_physical(v, value, MSR_BITS) && check_physical(v, end, 0));
}

#define AREA_WORDS "must be aligned to 16 bytes, the area within the physical-address width"

static const struct CheckRule exit_rules[] = {
    { VMCS_EXIT_CONTROLS, ALWAYS, allowed, CTL_EXIT,
      "bits must be as the capability MSR of the VM-exit controls says" },
    { VMCS_EXIT_CONTROLS, IN_EXIT, EXITC_SAVE_TIMER, has, NEEDS(IN_PIN, PIN_TIMER),
      "saving the VMX-preemption timer needs the timer" },
    { VMCS_EXIT_MSR_STORE_ADDR, ALWAYS, msr_area, VMCS_EXIT_MSR_STORE_COUNT, AREA_WORDS },
    { VMCS_EXIT_MSR_LOAD_ADDR, ALWAYS, msr_area, VMCS_EXIT_MSR_LOAD_COUNT, AREA_WORDS },
};

static bool event_type(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    (void)v, (void)arg;
    const uint64_t reserved_type = 1u << 8;
    bool has_mtf = vmx_ctl_capability(CTL_PROC) >> 32 & PROC_MTF;
    return (value & EVENT_TYPE) != reserved_type &&
           ((value & EVENT_TYPE) != INTR_TYPE_OTHER || has_mtf);
}

static bool event_vector(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    (void)v, (void)arg;
    switch (value & EVENT_TYPE) {
    case EVENT_NMI:
        return (value & EVENT_VECTOR) == T_NMI;
    case EVENT_EXCEPTION:
        return (value & EVENT_VECTOR) < 32;
    case INTR_TYPE_OTHER:
        return (value & EVENT_VECTOR) == 0;
    }
    return true;
}

static bool event_error_valid(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    (void)arg;
    const uint32_t with_error = 1u << T_DBLFLT | 1u << T_TSS | 1u << T_SEGNP | 1u << T_STACK |
                                1u << T_GPFLT | 1u << T_PGFLT | 1u << T_ALIGN;
    bool has_error = value & EVENT_ERROR_VALID;
    uint32_t vector = value & EVENT_VECTOR;
    if ((value & EVENT_TYPE) != EVENT_EXCEPTION || !(v->cr0 & CR0_PE))
        return !has_error;
    return (v->basic & VMX_BASIC_ANY_ERROR) || vector >= 32 ||
           has_error == (with_error >> vector & 1);
}

static bool event_error(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    return !(v->info & EVENT_ERROR_VALID) || check_zero_bits(v, value, arg);
}

static bool event_length(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    uint32_t type = v->info & EVENT_TYPE;
    if (type != EVENT_SOFT_INT && type != EVENT_PRIV_EXC && type != EVENT_SOFT_EXC)
        return true;
    return value <= arg && (value > 0 || (v->misc & VMX_MISC_LENGTH_0));
}

static const struct CheckRule entry_rules[] = {
    { VMCS_ENTRY_CONTROLS, ALWAYS, allowed, CTL_ENTRY,
      "bits must be as the capability MSR of the VM-entry controls says" },
    { VMCS_ENTRY_CONTROLS, ALWAYS, check_zero_bits, ENTRYC_SMM | ENTRYC_DUAL_MON,
      "bits 10 and 11 must be 0 outside of system-management mode" },
    { VMCS_ENTRY_INTR_INFO, IN_MODE, MODE_INJECT, event_type, 0,
      "the type must not be 1, and 7 only on a CPU with the monitor trap flag" },
    { VMCS_ENTRY_INTR_INFO, IN_MODE, MODE_INJECT, event_vector, 0,
      "the vector must be 2 for an NMI, below 32 for a hardware exception, 0 for type 7" },
    { VMCS_ENTRY_INTR_INFO, IN_MODE, MODE_INJECT, event_error_valid, 0,
      "bit 11 must be 1 exactly for the hardware exceptions that have an error code, in "
      "protected mode" },
    { VMCS_ENTRY_INTR_INFO, IN_MODE, MODE_INJECT, check_zero_bits, 0x7ffff000,
      "bits 30:12 must be 0" },
    { VMCS_ENTRY_INTR_ERROR, IN_MODE, MODE_INJECT, event_error, 0xffff0000,
      "bits 31:16 must be 0" },
    { VMCS_ENTRY_INSTR_LENGTH, IN_MODE, MODE_INJECT, event_length, 15,
      "must be 1 to 15 for software interrupts and exceptions (0 where the CPU allows it)" },
    { VMCS_ENTRY_MSR_LOAD_ADDR, ALWAYS, msr_area, VMCS_ENTRY_MSR_LOAD_COUNT, AREA_WORDS },
};

const struct CheckSection check_controls[] = {
    { "VM-Execution Control Fields", CHECK_CONTROL, LENGTH(execution_rules), NULL },
    { "VM-Exit Control Fields", CHECK_CONTROL, LENGTH(exit_rules), NULL },
    { "VM-Entry Control Fields", CHECK_CONTROL, LENGTH(entry_rules), NULL },
    { NULL, CHECK_OK, NULL, 0, NULL },
};
