/*
 * Control words.
 */
#ifndef JOS_VMM_VMX_CTLS_H
#define JOS_VMM_VMX_CTLS_H

#include <vmm/vmx/vmx.h>

/* The control words, each with a capability MSR of its own. */
enum CtlWord {
    CTL_PIN,
    CTL_PROC,
    CTL_PROC2,
    CTL_EXIT,
    CTL_ENTRY,
    NCTLS
};
/* The capability MSR of a word: bits 0-31 of it must be 1, those that are 0 in bits 32-63 must be
 * 0. */
uint64_t vmx_ctl_capability(enum CtlWord word);

/* Compute the control words from the table of wanted bits and the capability MSRs. Returns 0, or
 * -E_NOT_SUPP with the name of the missing bit in why. */
int vmcs_ctls_init(struct VmxCaps *caps, char *why, size_t size);

#endif
