/*
 * A copy of the current VMCS for people: the monitor's command `vmcs`, and debuggers, which cannot
 * execute VMREAD themselves.
 */
#include <inc/stdio.h>
#include <vmm/vmx/dump.h>
#include <vmm/vmx/vmcs_load.h>

struct VmcsDump vmcs_dump;

static void copy_field(size_t i)
{
    vmcs_dump.valid[i] = vmread_optional(vmcs_fields[i].encoding, &vmcs_dump.values[i]);
}

bool vmcs_take_dump(void)
{
    struct VmcsDump *s = &vmcs_dump;
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
    const struct VmcsDump *s = &vmcs_dump;
    int column = 0;

    if (!vmcs_take_dump()) {
        cprintf("no VMCS is current on CPU %u: no guest has run here, or it has left the CPU\n",
                s->cpu);
        return;
    }
    cprintf("VMCS of guest %08x on CPU %u\n", s->guest, s->cpu);
    for (size_t i = 0; i < VMCS_NFIELDS; i++)
        if (s->valid[i])
            cprintf("%-22s %016lx%s", vmcs_fields[i].name, s->values[i],
                    ++column % 2 ? "  " : "\n");
    if (column % 2)
        cprintf("\n");
    for (size_t i = 0; i < VMCS_NFIELDS; i++)
        if (!s->valid[i])
            cprintf("%-22s this CPU does not have it\n", vmcs_fields[i].name);
}
