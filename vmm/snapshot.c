/*
 * The VMM's state for people: a copy of the current VMCS for the monitor's command `vmcs` and for
 * debuggers, which cannot execute VMREAD themselves; and what crash reports say about guests.
 */
#include <vmm/internal.h>
#include <vmm/snapshot.h>

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

bool vmcs_take_snapshot(void)
{
    struct VmcsSnapshot *s = &vmcs_snapshot;
    const struct Guest *g = this_cpu()->cpu_vmcs_guest;

    s->guest = 0;
    s->cpu = this_cpu()->cpu_num;
    if (g == NULL || g->env == NULL)
        return false;
    s->guest = g->env->env_id;
    for (size_t i = 0; i < VMCS_NFIELDS; i++) {
        bool failed;
        asm volatile("vmread %2, %0"
                     : "=r"(s->values[i]), "=@ccbe"(failed)
                     : "r"((uint64_t)fields[i].encoding));
        s->valid[i] = !failed;
    }
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

static const char *const reason_words[GUEST_NREASONS] = {
#define REASON_WORDS(nr, name, words) [nr] = words,
    VMX_EXIT_LIST(REASON_WORDS)
#undef REASON_WORDS
};

void vmm_report(void)
{
    for (const struct Env *e = envs; e < envs + NENV; e++) {
        const struct Guest *g = e->env_guest;
        uint64_t exits = 0;
        if (e->env_type != ENV_TYPE_GUEST || !env_is_alive(e) || g == NULL)
            continue;
        for (size_t i = 0; i < GUEST_NREASONS; i++)
            exits += g->stats.reasons[i];
        const char *words = g->clock_reason < GUEST_NREASONS ? reason_words[g->clock_reason] : NULL;
        cprintf("guest %08x (%s): %lu exits, the last: %s\n", e->env_id, e->env_name, exits,
                words != NULL ? words : "none");
    }
}
