/*
 * The rules for the host-state area (SDM "Checks on Host Control Registers, MSRs, and SSP", "Checks
 * on Host Segment and Descriptor-Table Registers", "Checks Related to Address-Space Size").
 */
#include <vmm/vmx/check/check.h>

#define SELECTOR_RPL_TI 7ul
#define EFER_BITS       ((uint64_t)(EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE))

static bool host_cr0(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    (void)v, (void)arg;
    return (value & vmx_caps.cr0_fixed0) == vmx_caps.cr0_fixed0 &&
           (value & ~vmx_caps.cr0_fixed1) == 0;
}

static bool efer_mode(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    (void)arg;
    bool host_64 = v->word[IN_EXIT] & EXITC_HOST_64;
    return !!(value & EFER_LMA) == host_64 && !!(value & EFER_LME) == host_64;
}

static const struct CheckRule register_rules[] = {
    { VMCS_HOST_CR0, ALWAYS, host_cr0, 0, "bits must be as IA32_VMX_CR0_FIXED0 and FIXED1 say" },
    { VMCS_HOST_CR4, ALWAYS, check_fixed_cr4, 0,
      "bits must be as IA32_VMX_CR4_FIXED0 and FIXED1 say" },
    { VMCS_HOST_CR3, ALWAYS, check_physical, 0, "must be within the physical-address width" },
    { VMCS_HOST_SYSENTER_ESP, ALWAYS, check_canonical, 0, "must be canonical" },
    { VMCS_HOST_SYSENTER_EIP, ALWAYS, check_canonical, 0, "must be canonical" },
    { VMCS_HOST_PERF_CTRL, IN_EXIT, EXITC_LOAD_PERF, check_perf, 0,
      "must enable only counters that the CPU has" },
    { VMCS_HOST_PAT, IN_EXIT, EXITC_LOAD_PAT, check_pat, 0,
      "each byte must be a memory type (0, 1, 4, 5, 6 or 7)" },
    { VMCS_HOST_EFER, IN_EXIT, EXITC_LOAD_EFER, check_zero_bits, ~EFER_BITS,
      "reserved bits must be 0" },
    { VMCS_HOST_EFER, IN_EXIT, EXITC_LOAD_EFER, efer_mode, 0,
      "LMA and LME must be as the control host address-space size says" },
};

static bool not_null(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    (void)v, (void)arg;
    return value != 0;
}

#define SELECTOR_WORDS "RPL (bits 1:0) and TI (bit 2) must be 0"

static const struct CheckRule segment_rules[] = {
    { VMCS_HOST_ES_SEL, ALWAYS, check_zero_bits, SELECTOR_RPL_TI, SELECTOR_WORDS },
    { VMCS_HOST_CS_SEL, ALWAYS, check_zero_bits, SELECTOR_RPL_TI, SELECTOR_WORDS },
    { VMCS_HOST_SS_SEL, ALWAYS, check_zero_bits, SELECTOR_RPL_TI, SELECTOR_WORDS },
    { VMCS_HOST_DS_SEL, ALWAYS, check_zero_bits, SELECTOR_RPL_TI, SELECTOR_WORDS },
    { VMCS_HOST_FS_SEL, ALWAYS, check_zero_bits, SELECTOR_RPL_TI, SELECTOR_WORDS },
    { VMCS_HOST_GS_SEL, ALWAYS, check_zero_bits, SELECTOR_RPL_TI, SELECTOR_WORDS },
    { VMCS_HOST_TR_SEL, ALWAYS, check_zero_bits, SELECTOR_RPL_TI, SELECTOR_WORDS },
    { VMCS_HOST_CS_SEL, ALWAYS, not_null, 0, "must not be null" },
    { VMCS_HOST_TR_SEL, ALWAYS, not_null, 0, "must not be null" },
    { VMCS_HOST_SS_SEL, IN_MODE, MODE_HOST_32, not_null, 0,
      "must not be null if the host is not a 64-bit one" },
    { VMCS_HOST_FS_BASE, ALWAYS, check_canonical, 0, "must be canonical" },
    { VMCS_HOST_GS_BASE, ALWAYS, check_canonical, 0, "must be canonical" },
    { VMCS_HOST_GDTR_BASE, ALWAYS, check_canonical, 0, "must be canonical" },
    { VMCS_HOST_IDTR_BASE, ALWAYS, check_canonical, 0, "must be canonical" },
    { VMCS_HOST_TR_BASE, ALWAYS, check_canonical, 0, "must be canonical" },
};

/* The checker runs in 64-bit mode, so the entry does, too. */
static const struct CheckRule size_rules[] = {
    { VMCS_EXIT_CONTROLS, ALWAYS, check_one_bits, EXITC_HOST_64,
      "host address-space size (bit 9) must be 1 when a 64-bit kernel enters" },
    { VMCS_ENTRY_CONTROLS, IN_MODE, MODE_HOST_32, check_zero_bits, ENTRYC_IA32E,
      "an IA-32e mode guest needs a 64-bit host" },
    { VMCS_HOST_CR4, IN_MODE, MODE_HOST_32, check_zero_bits, CR4_PCIDE,
      "PCIDE needs a 64-bit host" },
    { VMCS_HOST_CR4, IN_MODE, MODE_HOST_64, check_one_bits, CR4_PAE,
      "PAE must be 1 for a 64-bit host" },
    { VMCS_HOST_RIP, IN_MODE, MODE_HOST_32, check_zero_bits, ~(uint64_t)UINT32_MAX,
      "bits 63:32 must be 0 for a host that is not a 64-bit one" },
    { VMCS_HOST_RIP, IN_MODE, MODE_HOST_64, check_canonical, 0, "must be canonical" },
};

const struct CheckSection check_host[] = {
    { "Checks on Host Control Registers, MSRs, and SSP", CHECK_HOST, LENGTH(register_rules), NULL },
    { "Checks on Host Segment and Descriptor-Table Registers", CHECK_HOST, LENGTH(segment_rules),
      NULL },
    { "Checks Related to Address-Space Size", CHECK_HOST, LENGTH(size_rules), NULL },
    { NULL, CHECK_OK, NULL, 0, NULL },
};
