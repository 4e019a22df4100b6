/*
 * A copy of the current VMCS, for the kernel monitor and for debuggers.
 */
#ifndef JOS_VMM_VMX_DUMP_H
#define JOS_VMM_VMX_DUMP_H

#include <inc/env.h>
#include <vmm/vmx/vmcs_fields.h>

/* The fields in the order of VMCS_FIELD_LIST. */
struct VmcsDump {
    envid_t guest;            /* whose VMCS it was; 0: none was current */
    uint32_t cpu;             /* where */
    bool valid[VMCS_NFIELDS]; /* false: this CPU does not have the field */
    uint64_t values[VMCS_NFIELDS];
};

/* The last one that was taken; not locked: everything is stopped when somebody looks. */
extern struct VmcsDump vmcs_dump;

/* Copy all fields of the VMCS that is current on this CPU to vmcs_dump. Of the guest it
 * changes at most INSTRUCTION_ERROR. false: none is current. A debugger calls it, too: it runs with
 * interrupts off on the stack it is called on. */
bool vmcs_take_dump(void) __attribute__((used));
/* Take a dump and print it, or say that there is none. */
void vmcs_print(void);

#endif
