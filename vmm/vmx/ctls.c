/*
 * Control words: one table of wanted bits, matched with what the capability MSRs allow (SDM
 * "Algorithms for Determining VMX Capabilities").
 */
#include <inc/error.h>
#include <inc/stdio.h>
#include <inc/x86.h>
#include <vmm/vmx/ctls.h>

enum Want {
    REQUIRED,
    OPTIONAL,
    FORBIDDEN
};

static const struct {
    uint8_t word; /* enum CtlWord */
    uint8_t want; /* enum Want */
    uint32_t bit;
    const char *name;
} wanted[] = {
    { CTL_PIN, REQUIRED, PIN_EXTINT, "external-interrupt exiting" },
    { CTL_PIN, REQUIRED, PIN_NMI, "NMI exiting" },
    { CTL_PIN, REQUIRED, PIN_VIRTUAL_NMI, "virtual NMIs" },
    { CTL_PIN, REQUIRED, PIN_TIMER, "VMX-preemption timer" },
    { CTL_PROC, REQUIRED, PROC_TSC_OFFSET, "TSC offsetting" },
    { CTL_PROC, REQUIRED, PROC_HLT, "HLT exiting" },
    { CTL_PROC, REQUIRED, PROC_MWAIT, "MWAIT exiting" },
    { CTL_PROC, REQUIRED, PROC_MONITOR, "MONITOR exiting" },
    { CTL_PROC, REQUIRED, PROC_RDPMC, "RDPMC exiting" },
    { CTL_PROC, FORBIDDEN, PROC_CR3_LOAD, "no CR3-load exiting" },
    { CTL_PROC, FORBIDDEN, PROC_CR3_STORE, "no CR3-store exiting" },
    { CTL_PROC, REQUIRED, PROC_CR8_LOAD, "CR8-load exiting" },
    { CTL_PROC, REQUIRED, PROC_CR8_STORE, "CR8-store exiting" },
    { CTL_PROC, REQUIRED, PROC_MOV_DR, "MOV-DR exiting" },
    { CTL_PROC, REQUIRED, PROC_IO, "unconditional I/O exiting" },
    { CTL_PROC, REQUIRED, PROC_MSR_BITMAP, "MSR bitmaps" },
    { CTL_PROC, REQUIRED, PROC_SECONDARY, "secondary controls" },
    { CTL_PROC2, REQUIRED, PROC2_EPT, "EPT" },
    { CTL_PROC2, REQUIRED, PROC2_UNRESTRICTED, "unrestricted guest" },
    { CTL_PROC2, REQUIRED, PROC2_WBINVD, "WBINVD exiting" },
    { CTL_PROC2, OPTIONAL, PROC2_RDTSCP, "RDTSCP" },
    { CTL_PROC2, OPTIONAL, PROC2_INVPCID, "INVPCID" },
    { CTL_PROC2, OPTIONAL, PROC2_VPID, "VPID" },
    { CTL_PROC2, OPTIONAL, PROC2_ENCLS, "ENCLS exiting" },
    { CTL_EXIT, REQUIRED, EXITC_SAVE_DEBUG, "save debug controls" },
    { CTL_EXIT, REQUIRED, EXITC_HOST_64, "64-bit host" },
    { CTL_EXIT, REQUIRED, EXITC_ACK_INTR, "acknowledge interrupt on exit" },
    { CTL_EXIT, OPTIONAL, EXITC_SAVE_PAT, "save IA32_PAT" },
    { CTL_EXIT, OPTIONAL, EXITC_LOAD_PAT, "load IA32_PAT on exit" },
    { CTL_EXIT, REQUIRED, EXITC_SAVE_EFER, "save IA32_EFER" },
    { CTL_EXIT, REQUIRED, EXITC_LOAD_EFER, "load IA32_EFER on exit" },
    { CTL_EXIT, OPTIONAL, EXITC_SAVE_TIMER, "save VMX-preemption timer" },
    { CTL_ENTRY, REQUIRED, ENTRYC_LOAD_DEBUG, "load debug controls" },
    { CTL_ENTRY, OPTIONAL, ENTRYC_LOAD_PAT, "load IA32_PAT on entry" },
    { CTL_ENTRY, REQUIRED, ENTRYC_LOAD_EFER, "load IA32_EFER on entry" },
};

/* Capability MSRs of the words: what old CPUs have, and the TRUE one. */
static const struct {
    uint32_t msr, true_msr;
} capability[NCTLS] = {
    [CTL_PIN] = { MSR_VMX_PIN_CTLS, MSR_VMX_TRUE_PIN_CTLS },
    [CTL_PROC] = { MSR_VMX_PROC_CTLS, MSR_VMX_TRUE_PROC_CTLS },
    [CTL_PROC2] = { MSR_VMX_PROC2_CTLS, MSR_VMX_PROC2_CTLS },
    [CTL_EXIT] = { MSR_VMX_EXIT_CTLS, MSR_VMX_TRUE_EXIT_CTLS },
    [CTL_ENTRY] = { MSR_VMX_ENTRY_CTLS, MSR_VMX_TRUE_ENTRY_CTL },
};

uint64_t vmx_ctl_capability(enum CtlWord word)
{
    bool have_true = rdmsr(MSR_VMX_BASIC) & VMX_BASIC_TRUE_CTLS;
    return rdmsr(have_true ? capability[word].true_msr : capability[word].msr);
}

static int control_word(enum CtlWord word, uint32_t *value, char *why, size_t size)
{
    uint64_t cap = vmx_ctl_capability(word);
    uint32_t must = (uint32_t)cap, may = (uint32_t)(cap >> 32);
    *value = must;
    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
        uint32_t bit = wanted[i].bit;
        if (wanted[i].word != word)
            continue;
        bool possible = wanted[i].want == FORBIDDEN ? !(must & bit) : !!(may & bit);
        if (!possible && wanted[i].want != OPTIONAL) {
            snprintf(why, size, "this CPU's VT-x lacks a required control: %s", wanted[i].name);
            return -E_NOT_SUPP;
        }
        if (possible && wanted[i].want != FORBIDDEN)
            *value |= bit;
    }
    return 0;
}

int vmcs_ctls_init(struct VmxCaps *caps, char *why, size_t size)
{
    uint32_t *const words[NCTLS] = {
        [CTL_PIN] = &caps->pin,   [CTL_PROC] = &caps->proc,   [CTL_PROC2] = &caps->proc2,
        [CTL_EXIT] = &caps->exit, [CTL_ENTRY] = &caps->entry,
    };
    for (int w = 0; w < NCTLS; w++) {
        /* Only a CPU that has the secondary controls has their capability MSR; CTL_PROC comes first
         * and requires them. */
        int r = control_word(w, words[w], why, size);
        if (r < 0)
            return r;
    }
    return 0;
}
