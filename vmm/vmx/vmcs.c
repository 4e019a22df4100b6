/*
 * VMCS handling: which VMCS is current on which CPU, and errors of VMX instructions in words.
 */
#include <vmm/internal.h>
#include <kern/flush.h>
#include <kern/ipi.h>

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

/* This CPU, which has g's VMCS, puts it down. */
static void put_down(struct Guest *g)
{
    enum VmxResult r = vmclear(PADDR(g->vmcs));
    if (r != VMX_OK)
        cprintf("vmm: VMCLEAR failed: %s\n", vmx_result_words(r));
    if (this_cpu()->cpu_vmcs_guest == g)
        this_cpu()->cpu_vmcs_guest = NULL;
    g->launched = false;
    __atomic_store_n(&g->vmcs_cpu, -1, __ATOMIC_RELEASE);
}

void vmx_put_down(void)
{
    struct Cpu *c = this_cpu();
    struct Guest *g = c->cpu_vmcs_wanted;
    if (g == NULL)
        return;
    if (g->vmcs_cpu == (int)c->cpu_num)
        put_down(g);
    __atomic_store_n(&c->cpu_vmcs_wanted, NULL, __ATOMIC_RELEASE);
}

/* Ask the CPU that has g's VMCS to put it down, and wait. One request at a time fits there. */
static void __attribute__((noinline, cold)) fetch(struct Guest *g, struct Cpu *c)
{
    struct Guest *none = NULL;
    while (!__atomic_compare_exchange_n(&c->cpu_vmcs_wanted, &none, g, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_RELAXED)) {
        none = NULL;
        cpu_flush_poll();
        cpu_pause();
    }
    cpu_flush_remote(c);
}

/*
 * A VMCS is active on at most one CPU, and with several CPUs at most one is active on each: the run
 * loop unloads it each time the guest leaves its CPU, except that it stays while the guest's
 * monitor has the CPU to answer an exit. If the monitor does something else instead, the CPU's next
 * guest, or the CPU that wants this one, takes it off.
 */
void vmcs_unload(struct Guest *g)
{
    int cpu = __atomic_load_n(&g->vmcs_cpu, __ATOMIC_ACQUIRE);
    if (cpu == (int)this_cpu()->cpu_num)
        put_down(g);
    else if (cpu >= 0)
        fetch(g, &cpus[cpu]);
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

/* The same, where g's VMCS is on no CPU or on this one, and whatever is current. */
static bool activate(struct Guest *g)
{
    struct Cpu *cpu = this_cpu();
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
    return true;
}

bool vmcs_load(struct Guest *g)
{
    struct Cpu *cpu = this_cpu();
    if (vmcs_is_current(g))
        return true;
    if (ncpu > 1 && cpu->cpu_vmcs_guest != NULL)
        put_down(cpu->cpu_vmcs_guest);
    if (g->vmcs_cpu >= 0 && g->vmcs_cpu != (int)cpu->cpu_num)
        vmcs_unload(g);
    if (!activate(g))
        return false;
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
