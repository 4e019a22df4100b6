/*
 * A copy of the current VMCS for people: the monitor's command `vmcs`, and debuggers, which cannot
 * execute VMREAD themselves.
 */
#include <inc/stdio.h>
#include <vmm/vmx/dump.h>
#include <vmm/vmx/vmcs_load.h>

struct VmcsSnapshot vmcs_snapshot;

static const struct {
    uint32_t encoding;
    const char *name;
} fields[] = {
#define SNAPSHOT_FIELD(name, encoding) { encoding, #name },
    VMCS_FIELD_LIST(SNAPSHOT_FIELD)
#undef SNAPSHOT_FIELD
};
_Static_assert(ARRAY_SIZE(fields) == VMCS_NFIELDS, "one place a field");

static void copy_field(size_t i)
{
    bool failed;
    asm volatile("vmread %2, %0"
                 : "=r"(vmcs_snapshot.values[i]), "=@ccbe"(failed)
                 : "r"((uint64_t)fields[i].encoding));
    vmcs_snapshot.valid[i] = !failed;
}

bool vmcs_take_snapshot(void)
{
    struct VmcsSnapshot *s = &vmcs_snapshot;
    const struct Vcpu *v = vmcs_owner();

    s->guest = 0;
    s->cpu = this_cpu()->cpu_num;
    if (!v || !v->env)
        return false;
    s->guest = v->env->env_id;
    /* First, since a VMREAD that fails changes it. */
    copy_field(VMCS_INDEX_INSTRUCTION_ERROR);
    for (size_t i = 0; i < VMCS_NFIELDS; i++)
        if (i != VMCS_INDEX_INSTRUCTION_ERROR)
            copy_field(i);
    return true;
}

void vmcs_print(void)
{
    const struct VmcsSnapshot *s = &vmcs_snapshot;
    int column = 0;

    if (!vmcs_take_snapshot()) {
        cprintf("no VMCS is current on CPU %u: no guest has run here, or it has left the CPU\n",
                s->cpu);
        return;
    }
    cprintf("VMCS of guest %08x on CPU %u\n", s->guest, s->cpu);
    for (size_t i = 0; i < VMCS_NFIELDS; i++)
        if (s->valid[i])
            cprintf("%-22s %016lx%s", fields[i].name, s->values[i], ++column % 2 ? "  " : "\n");
    if (column % 2)
        cprintf("\n");
    for (size_t i = 0; i < VMCS_NFIELDS; i++)
        if (!s->valid[i])
            cprintf("%-22s this CPU does not have it\n", fields[i].name);
}
