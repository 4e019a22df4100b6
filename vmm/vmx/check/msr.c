/*
 * The rules for the MSRs that a VM entry loads (SDM "Loading MSRs"): a bad entry of the area makes
 * the VM entry fail when everything else has been found valid. Values are judged for the MSRs whose
 * WRMSR is known to refuse some; of others only the number.
 */
#include <vmm/msr.h>
#include <inc/stdio.h>
#include <vmm/vmx/check/check.h>

struct MsrRule {
    bool (*holds)(const struct CheckView *v, const struct MsrEntry *e);
    const char *words;
};

static bool reserved_zero(const struct CheckView *v, const struct MsrEntry *e)
{
    (void)v;
    return e->reserved == 0;
}

static bool base_elsewhere(const struct CheckView *v, const struct MsrEntry *e)
{
    (void)v;
    return e->index != MSR_FS_BASE && e->index != MSR_GS_BASE;
}

static bool not_x2apic(const struct CheckView *v, const struct MsrEntry *e)
{
    (void)v;
    return e->index >> 8 != MSR_X2APIC >> 8;
}

static bool loadable(const struct CheckView *v, const struct MsrEntry *e)
{
    (void)v;
    return e->index != MSR_SMM_MONITOR_CTL && e->index != MSR_BIOS_UPDT_TRIG;
}

static bool address_canonical(const struct CheckView *v, const struct MsrEntry *e)
{
    static const uint32_t addresses[] = { MSR_KERNEL_GS_BASE, MSR_LSTAR, MSR_CSTAR,
                                          MSR_SYSENTER_ESP, MSR_SYSENTER_EIP };
    for (size_t i = 0; i < ARRAY_SIZE(addresses); i++)
        if (e->index == addresses[i])
            return check_canonical(v, e->value, 0);
    return true;
}

static bool value_fits(const struct CheckView *v, const struct MsrEntry *e)
{
    if (e->index == MSR_PAT)
        return check_pat(v, e->value, 0);
    return (e->index != MSR_SFMASK && e->index != MSR_TSC_AUX) || e->value >> 32 == 0;
}

static const struct MsrRule rules[] = {
    { reserved_zero, "bits 63:32 of an entry of the area must be 0" },
    { base_elsewhere, "FS.base and GS.base are loaded from their fields, not from the area" },
    { not_x2apic, "the registers of the local APIC (0x800 to 0x8ff) cannot be loaded" },
    { loadable, "an entry names an MSR that a VM entry cannot load" },
    { address_canonical, "an MSR for an address must be given a canonical one" },
    { value_fits, "an MSR must be given a value without reserved bits" },
};

static void check_area(struct CheckView *v, const struct CheckSection *s)
{
    uint64_t area = vmread(VMCS_ENTRY_MSR_LOAD_ADDR), count = vmread(VMCS_ENTRY_MSR_LOAD_COUNT);
    struct MsrEntry e;
    for (uint64_t i = 0; i < count; i++) {
        physaddr_t pa = area + i * sizeof(e);
        if (pa % sizeof(e) != 0 || !check_read_physical(pa, &e, sizeof(e)))
            return; /* another rule's matter, or not in RAM */
        for (const struct MsrRule *r = rules; r < rules + ARRAY_SIZE(rules); r++)
            if (!r->holds(v, &e)) {
                check_violation(v, s, VMCS_ENTRY_MSR_LOAD_ADDR, pa, r->words);
                if (v->print)
                    cprintf("vmxcheck: entry %lu of the area: MSR 0x%x, reserved 0x%x, value "
                            "0x%lx\n",
                            i + 1, e.index, e.reserved, e.value);
            }
    }
}

const struct CheckSection check_msrs[] = {
    { "Loading MSRs", CHECK_MSR, NULL, 0, check_area },
    { NULL, CHECK_OK, NULL, 0, NULL },
};
