/*
 * VMCS handling: which VMCS is current on which CPU, and errors of VMX instructions in words.
 */
#include <vmm/internal.h>

/* SDM "Structure of VMCS Component Encoding" */
#define FIELD_TYPE(encoding) (((encoding) >> 10) & 3)
#define FIELD_GUEST          2

static const struct {
    uint32_t encoding;
    const char *name;
} fields[] = {
#define FIELD_NAME(name, encoding) { encoding, #name },
    VMCS_FIELD_LIST(FIELD_NAME)
#undef FIELD_NAME
};

const char *vmcs_field_name(enum VmcsField field)
{
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
        if (fields[i].encoding == (uint32_t)field)
            return fields[i].name;
    return "unknown field";
}

void vmcs_dump_guest(void)
{
    int column = 0;
    for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
        uint64_t v;
        bool failed;
        if (FIELD_TYPE(fields[i].encoding) != FIELD_GUEST)
            continue;
        asm volatile("vmread %2, %0"
                     : "=r"(v), "=@ccbe"(failed)
                     : "r"((uint64_t)fields[i].encoding));
        if (!failed) /* a CPU may lack optional fields */
            cprintf("%-22s %016lx%s", fields[i].name, v, ++column % 2 ? "  " : "\n");
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
    if (error >= ARRAY_SIZE(words) || words[error] == NULL)
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
    struct Guest *g = this_cpu()->cpu_vmcs_guest;
    const char *why = "no VMCS is current";
    if (g != NULL && field != VMCS_INSTRUCTION_ERROR)
        why = vmx_error_words(vmread(VMCS_INSTRUCTION_ERROR));
    cprintf("vmm: %s of %s (0x%x) failed: %s\n", insn, vmcs_field_name(field), field, why);
    if (g != NULL)
        guest_kill(g, "%s of %s failed: %s", insn, vmcs_field_name(field), why);
}

/* Make g's VMCS current on this CPU. false: g has been ended. */
static bool make_current(struct Guest *g)
{
    enum VmxResult r = vmptrld(PADDR(g->vmcs));
    if (r != VMX_OK)
        guest_kill(g, "VMPTRLD failed: %s", vmx_result_words(r));
    return r == VMX_OK;
}

/* Likewise where another guest's is current, and has to be as it was when that guest comes back. */
static bool vmcs_switch(struct Guest *g)
{
    /* LAB C begin: vmcs_switch */
    return make_current(g); /* the other one stays active on this CPU */
    /* LAB C end */
}

bool vmcs_load(struct Guest *g)
{
    struct Cpu *cpu = this_cpu();
    if (cpu->cpu_vmcs_guest == g)
        return true;
    if (g->vmcs_cpu < 0) {
        *(uint32_t *)g->vmcs = vmx_caps.revision;
        enum VmxResult r = vmclear(PADDR(g->vmcs));
        if (r != VMX_OK) {
            guest_kill(g, "VMCLEAR failed: %s", vmx_result_words(r));
            return false;
        }
        g->launched = false;
    }
    if (!(cpu->cpu_vmcs_guest == NULL ? make_current(g) : vmcs_switch(g)))
        return false;
    cpu->cpu_vmcs_guest = g;
    if (g->vmcs_cpu < 0) {
        g->vmcs_cpu = cpu->cpu_num;
        vmcs_host_init(g);
        if (g->last_cpu != cpu->cpu_num) /* translations of an earlier stay here may be stale */
            guest_attn(g, ATTN_EPT_FLUSH | ATTN_TLB_FLUSH);
        g->last_cpu = cpu->cpu_num;
    }
    if (!g->vmcs_ready) {
        vmcs_guest_init(g);
        g->vmcs_ready = true;
    }
    return !g->doomed;
}

/* A VMCS is active on at most one CPU: with several of them, the run loop unloads it each time the
 * guest leaves its CPU, so the caller is always on the CPU that has it. */
void vmcs_unload(struct Guest *g)
{
    if (g->vmcs_cpu < 0)
        return;
    enum VmxResult r = vmclear(PADDR(g->vmcs));
    if (r != VMX_OK)
        cprintf("vmm: VMCLEAR failed: %s\n", vmx_result_words(r));
    if (this_cpu()->cpu_vmcs_guest == g)
        this_cpu()->cpu_vmcs_guest = NULL;
    g->vmcs_cpu = -1;
    g->launched = false;
}
