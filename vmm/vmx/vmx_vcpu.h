/*
 * The VT-x side of a vCPU, and what the files of the back end offer to each other.
 */
#ifndef JOS_VMM_VMX_VMX_VCPU_H
#define JOS_VMM_VMX_VMX_VCPU_H

#include <kern/pmap.h>
#include <vmm/backend.h>
#include <vmm/vcpu.h>
#include <vmm/vmx/vmcs.h>

/* SDM "VM-Exit Controls for MSRs": an entry of an MSR area. */
struct MsrEntry {
    uint32_t index, reserved;
    uint64_t value;
};
_Static_assert(sizeof(struct MsrEntry) == 16, "MSR-area entry");
#define NSWITCHED_MSRS 6

struct VmxVcpu {
    struct Vcpu v;     /* first: vmx() relies on it */
    bool launched;     /* the VMCS is in launched state */
    bool vmcs_ready;   /* vmcs_guest_init was done */
    bool window;       /* interrupt-window exiting is on */
    int vmcs_cpu;      /* CPU on which the VMCS is active; -1: none */
    uint32_t proc;     /* primary controls as they stand in the VMCS */
    uint64_t host_rsp; /* HOST_RSP as it stands in the VMCS */
    uint64_t eptp;
    void *vmcs;          /* one page */
    uint8_t *msr_bitmap; /* one page */
    struct MsrEntry guest_msrs[NSWITCHED_MSRS] __attribute__((aligned(16)));
    struct MsrEntry host_msrs[NSWITCHED_MSRS] __attribute__((aligned(16)));
};
_Static_assert(sizeof(struct VmxVcpu) <= PGSIZE, "a vCPU's state is one page");
_Static_assert(offsetof(struct VmxVcpu, v) == 0, "vmx() converts by a cast");

static inline struct VmxVcpu *vmx(const struct Vcpu *v)
{
    return (struct VmxVcpu *)v;
}

#endif
