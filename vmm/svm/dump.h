/*
 * A copy of the VMCB that was used last on a CPU, for the kernel monitor and for debuggers.
 */
#ifndef JOS_VMM_SVM_DUMP_H
#define JOS_VMM_SVM_DUMP_H

#include <inc/env.h>
#include <vmm/svm/vmcb.h>

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

#endif
