/*
 * An exit for the trace, and the VMCB that was used last on a CPU, for the kernel monitor and for
 * debuggers.
 */
#ifndef JOS_VMM_SVM_DESCRIBE_H
#define JOS_VMM_SVM_DESCRIBE_H

#include <inc/env.h>
#include <vmm/svm/vmcb.h>

struct GuestTraceEntry;
struct Vcpu;

struct VmcbDump {
    envid_t guest; /* whose VMCB it was; 0: none */
    uint32_t cpu;  /* where */
    struct Vmcb vmcb;
};

/* The last one that was taken; not locked: everything is stopped when somebody looks. */
extern struct VmcbDump vmcb_dump;

/* Copy the VMCB of the guest that ran last on this CPU. false: there is none. A debugger calls it,
 * too.
 */
bool vmcb_take_dump(void) __attribute__((used));

/* For struct Backend. */
void svm_describe(const struct Vcpu *v, struct GuestTraceEntry *e);
void svm_print(bool copy);

#endif
