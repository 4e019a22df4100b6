/*
 * Finding out whether this machine can run guests, and turning VMX operation on. Detection explains
 * in words what is missing and what to do instead; it changes nothing, so it is safe on any CPU.
 */
#include <inc/error.h>
#include <inc/stdio.h>
#include <kern/pmap.h>
#include <kern/xstate.h>
#include <vmm/backend.h>
#include <vmm/cpuid.h>
#include <vmm/vapic.h>
#include <vmm/vmx/ctls.h>
#include <vmm/vmx/vmcs.h>
#include <vmm/vmx/vmx.h>

struct VmxCaps vmx_caps;

#define CPUID1_ECX_VMX (1u << 5)
#define VMX_ADVICE     "run `make bochs-nox`, which emulates it, or use an Intel machine"

int vmx_check_ept(char *why, size_t size)
{
    /* LAB 0 begin: vmx_check_ept */
    static const struct {
        uint64_t bit;
        const char *name;
    } need[] = {
        { EPT_CAP_WALK4, "4-level tables" },
        { EPT_CAP_WB, "write-back tables" },
        { EPT_CAP_INVEPT, "INVEPT" },
        { EPT_CAP_INVEPT_ALL, "INVEPT of all contexts" },
    };
    uint32_t may = rdmsr(MSR_VMX_PROC_CTLS) >> 32;
    uint32_t may2 = may & PROC_SECONDARY ? rdmsr(MSR_VMX_PROC2_CTLS) >> 32 : 0;
    if (!(may2 & PROC2_EPT)) {
        snprintf(why, size, "this CPU has VT-x, but no EPT (extended page tables); " VMX_ADVICE);
        return -E_NOT_SUPP;
    }
    if (!(may2 & PROC2_UNRESTRICTED)) {
        snprintf(why, size, "this CPU has VT-x and EPT, but no unrestricted guest; " VMX_ADVICE);
        return -E_NOT_SUPP;
    }
    uint64_t cap = rdmsr(MSR_VMX_EPT_VPID_CAP);
    for (size_t i = 0; i < ARRAY_SIZE(need); i++) {
        if (cap & need[i].bit)
            continue;
        snprintf(why, size, "this CPU's EPT lacks %s; " VMX_ADVICE, need[i].name);
        return -E_NOT_SUPP;
    }
    return 0;
    /* LAB 0 end */
}

/* Read the capabilities, when the checks have found VT-x and EPT. */
static int read_caps(struct VmxCaps *caps, char *why, size_t size)
{
    int r = vmcs_ctls_init(caps, why, size);
    if (r < 0)
        return r;
    caps->ept_vpid = rdmsr(MSR_VMX_EPT_VPID_CAP);
    if ((caps->ept_vpid & EPT_CAP_VPID) != EPT_CAP_VPID)
        caps->proc2 &= ~PROC2_VPID;
    if (!(caps->entry & ENTRYC_LOAD_PAT) || !(caps->exit & EXITC_LOAD_PAT)) {
        caps->entry &= ~ENTRYC_LOAD_PAT; /* or the host would go on with the guest's PAT */
        caps->exit &= ~(EXITC_LOAD_PAT | EXITC_SAVE_PAT);
    }
    caps->revision = rdmsr(MSR_VMX_BASIC) & VMX_BASIC_REVISION;
    caps->string_info = rdmsr(MSR_VMX_BASIC) & VMX_BASIC_STRING_INFO;
    caps->timer_shift = rdmsr(MSR_VMX_MISC) & VMX_MISC_TIMER_SHIFT;
    caps->cr0_fixed0 = rdmsr(MSR_VMX_CR0_FIXED0);
    caps->cr0_fixed1 = rdmsr(MSR_VMX_CR0_FIXED1);
    caps->cr4_fixed0 = rdmsr(MSR_VMX_CR4_FIXED0);
    caps->cr4_fixed1 = rdmsr(MSR_VMX_CR4_FIXED1);
    return 0;
}

/* SDM "The Extended Page Table Mechanism (EPT)": write-back memory whatever the guest's PAT says.
 */
struct Stage2Format vmx_stage2_format(bool has_large)
{
    struct Stage2Format f = {
        .table = EPTE_RWX, .write = EPTE_W, .fetch = EPTE_X, .has_large = has_large
    };
    for (uint32_t rights = 1; rights <= GUEST_RWX; rights++)
        f.rights[rights] = rights | EPTE_MT_WB | EPTE_IPAT; /* the bits have GUEST_*'s order */
    return f;
}

/* What guests can have here. Once, since guests use it. */
static void describe_features(void)
{
    if (stage2.table != 0)
        return;
    guest_features = (struct GuestFeatures){
        .pat = vmx_caps.entry & ENTRYC_LOAD_PAT,
        .rdtscp = vmx_caps.proc2 & PROC2_RDTSCP,
        .invpcid = vmx_caps.proc2 & PROC2_INVPCID,
        .cr4 = vmx_caps.cr4_fixed1 & ~(xstate_xcr0 ? 0 : CR4_OSXSAVE),
        .xcr0 = xstate_xcr0,
        .xcr0_all = xstate_xcr0,
    };
    stage2 = vmx_stage2_format(vmx_caps.ept_vpid & EPT_CAP_2M);
}

int vmx_check_support(char *why, size_t size)
{
    /* LAB 0 begin: vmx_check_support */
    if (!(cpuid(1, 0).ecx & CPUID1_ECX_VMX)) {
        snprintf(why, size, "this CPU has no VT-x (CPUID.1:ECX.VMX is 0); " VMX_ADVICE);
        return -E_NOT_SUPP;
    }
    uint64_t feature = rdmsr(MSR_FEATURE_CTL);
    if ((feature & FEATURE_CTL_LOCK) && !(feature & FEATURE_CTL_VMX)) {
        snprintf(why, size,
                 "VT-x is locked off by the firmware (IA32_FEATURE_CONTROL = 0x%lx); enable it in "
                 "the firmware's set-up, or run `make bochs-nox`",
                 feature);
        return -E_NOT_SUPP;
    }
    if (vmx_check_ept(why, size) < 0)
        return -E_NOT_SUPP;
    /* LAB 0 end */
    /* Other CPUs use vmx_caps while envs ask here: it never holds anything half done. */
    struct VmxCaps caps;
    int r = read_caps(&caps, why, size);
    if (r == 0) {
        vmx_caps = caps;
        describe_features();
    }
    return r;
}

/* This CPU's VMXON region, allocated once and kept. */
static int vmxon_region(struct Cpu *cpu)
{
    if (cpu->cpu_vmxon_region != 0)
        return 0;
    uint32_t *region = page_new();
    if (!region)
        return -E_NO_MEM;
    *region = vmx_caps.revision;
    cpu->cpu_vmxon_region = PADDR(region);
    return 0;
}

int vmx_init_vmxon(void)
{
    struct Cpu *cpu = this_cpu();
    char why[160];
    if (cpu->cpu_vmx_on)
        return 0;
    int r = vmx_check_support(why, sizeof(why));
    if (r < 0) {
        cprintf("vmm: %s\n", why);
        return r;
    }
    r = vmxon_region(cpu);
    if (r < 0) {
        cprintf("vmm: no memory for the VMXON region\n");
        return r;
    }
    /* LAB 0 begin: vmx_init_vmxon */
    uint64_t feature = rdmsr(MSR_FEATURE_CTL);
    if (!(feature & FEATURE_CTL_LOCK))
        wrmsr(MSR_FEATURE_CTL, feature | FEATURE_CTL_VMX | FEATURE_CTL_LOCK);
    lcr0((rcr0() | vmx_caps.cr0_fixed0) & vmx_caps.cr0_fixed1);
    lcr4((rcr4() | CR4_VMXE | vmx_caps.cr4_fixed0) & vmx_caps.cr4_fixed1);
    enum VmxResult res = vmxon(cpu->cpu_vmxon_region);
    if (res != VMX_OK) {
        cprintf("vmm: VMXON failed on CPU %u (CR0 0x%lx, CR4 0x%lx)\n", cpu->cpu_num, rcr0(),
                rcr4());
        lcr4(rcr4() & ~(uint64_t)CR4_VMXE);
        return -E_NOT_SUPP;
    }
    /* LAB 0 end */
    cpu->cpu_vmx_on = true;
    invept(INVEPT_ALL, 0);
    if (vmx_caps.proc2 & PROC2_VPID)
        invvpid(INVVPID_ALL, 0);
    cpuid_init();
    vapic_timer_init();
    return 0;
}
