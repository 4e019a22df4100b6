/*
 * Fields of the VMCS by name, and errors of VMX instructions in words.
 */
#include <inc/stdio.h>
#include <vmm/vmx/vmcs.h>
#include <vmm/vmx/vmcs_load.h>
#include <vmm/kill.h>
#include <vmm/vmx/vmx_vcpu.h>

/* SDM "Structure of VMCS Component Encoding" */
#define FIELD_TYPE(encoding) (((encoding) >> 10) & 3)
#define FIELD_GUEST          2

const struct VmcsFieldName vmcs_fields[VMCS_NFIELDS] = {
#define FIELD_NAME(name, encoding) { encoding, #name },
    VMCS_FIELD_LIST(FIELD_NAME)
#undef FIELD_NAME
};

const char *vmcs_field_name(enum VmcsField field)
{
    for (size_t i = 0; i < VMCS_NFIELDS; i++)
        if (vmcs_fields[i].encoding == field)
            return vmcs_fields[i].name;
    return "unknown field";
}

void vmcs_dump_guest(void)
{
    int column = 0;
    for (size_t i = 0; i < VMCS_NFIELDS; i++) {
        uint64_t value;
        if (FIELD_TYPE(vmcs_fields[i].encoding) == FIELD_GUEST &&
            vmread_optional(vmcs_fields[i].encoding, &value))
            cprintf("%-22s %016lx%s", vmcs_fields[i].name, value, ++column % 2 ? "  " : "\n");
    }
    if (column % 2)
        cprintf("\n");
}

/* SDM "VM Instruction Error Numbers". */
const char *vmx_error_words(uint32_t error)
{
    static const char *const words[] = {
        [1] = "VMCALL in VMX root operation",
        [2] = "VMCLEAR with an invalid physical address",
        [3] = "VMCLEAR with the VMXON pointer",
        [4] = "VMLAUNCH with a VMCS that is not clear",
        [5] = "VMRESUME with a VMCS that was not launched",
        [6] = "VMRESUME after VMXOFF",
        [7] = "VM entry with invalid control fields",
        [8] = "VM entry with invalid host-state fields",
        [9] = "VMPTRLD with an invalid physical address",
        [10] = "VMPTRLD with the VMXON pointer",
        [11] = "VMPTRLD with an incorrect VMCS revision",
        [12] = "VMREAD or VMWRITE of a field this CPU does not have",
        [13] = "VMWRITE to a read-only field",
        [15] = "VMXON in VMX root operation",
        [20] = "VMCALL with a VMCS that is not clear",
        [26] = "VM entry while events are blocked by MOV SS",
        [28] = "invalid operand of INVEPT or INVVPID",
    };
    if (error >= ARRAY_SIZE(words) || !words[error])
        return "unknown VM-instruction error";
    return words[error];
}

const char *vmx_result_words(enum VmxResult r)
{
    if (r == VMX_OK)
        return "no error";
    if (r == VMX_FAIL_INVALID)
        return "no VMCS is current";
    return vmx_error_words(vmread(VMCS_INSTRUCTION_ERROR));
}

void vmcs_access_failed(const char *insn, enum VmcsField field)
{
    struct Vcpu *v = vmcs_owner();
    const char *why = "no VMCS is current";
    if (v && field != VMCS_INSTRUCTION_ERROR)
        why = vmx_error_words(vmread(VMCS_INSTRUCTION_ERROR));
    cprintf("vmm: %s of %s (0x%x) failed: %s\n", insn, vmcs_field_name(field), field, why);
    if (v)
        guest_kill(v, "%s of %s failed: %s", insn, vmcs_field_name(field), why);
}
