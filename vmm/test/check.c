/*
 * The test of the VM-entry checker, at boot with the word vmxcheck-test: for each case a fresh VMCS
 * is filled in and broken, the checker judges it, and the CPU is asked the same by a VM entry. The
 * guest has no memory and its preemption timer is 0, so that an entry that succeeds ends before
 * the guest's first instruction.
 */
#include <vmm/vmx/vmcs_load.h>
#include <inc/stdio.h>
#include <inc/string.h>
#include <vmm/vmlife.h>
#include <vmm/test/check_cases.h>

extern char asm_vmtry_exit[];
int asm_vmtry(void);

/* SDM "VM-Instruction Error Numbers" */
#define ERROR_CONTROLS 7
#define ERROR_HOST     8

struct Score {
    uint32_t broken, valid, agree, known, wrong;
};

static void poke(struct Vcpu *vcpu, const struct Poke *p)
{
    uint64_t value;
    switch (p->op) {
    case POKE_SET:
        vmwrite_known(p->field, p->value); /* what the CPU does not have stays away */
        break;
    case POKE_OR:
    case POKE_CLEAR:
        value = vmread(p->field);
        vmwrite_known(p->field, p->op == POKE_OR ? value | p->value : value & ~p->value);
        break;
    case POKE_VMCS:
        vmwrite(p->field, PADDR(vmx(vcpu)->vmcs));
        break;
    case POKE_MSR_INDEX:
        vmx(vcpu)->guest_msrs[0].index = p->value;
        break;
    case POKE_MSR_RESERVED:
        vmx(vcpu)->guest_msrs[0].reserved = p->value;
        break;
    case POKE_MSR_VALUE:
        vmx(vcpu)->guest_msrs[0].value = p->value;
        break;
    case POKE_END:
        break;
    }
}

/* A VMCS that was never used, with the state of the base. */
static bool fresh_vmcs(struct Vcpu *vcpu, enum CheckBase base)
{
    vmcs_unload(vcpu);
    memset(vmx(vcpu)->vmcs, 0, PGSIZE);
    vmx(vcpu)->vmcs_ready = false;
    if (!vmcs_load(vcpu))
        return false;
    vmwrite(VMCS_HOST_RIP, (uint64_t)asm_vmtry_exit);
    vmwrite(VMCS_PREEMPT_TIMER, 0);
    for (const struct Poke *p = check_base_pokes(base); p->op != POKE_END; p++)
        poke(vcpu, p);
    return true;
}

/* Try the entry. Returns what the CPU found wrong; *detail is the error number or exit reason. */
static enum CheckClass ask_cpu(uint32_t *detail)
{
    enum VmxResult r = asm_vmtry();
    cpu_load_tables(this_cpu());
    if (r == VMX_OK) {
        *detail = vmread(VMCS_EXIT_REASON);
        if (!(*detail & EXIT_ENTRY_FAILED))
            return CHECK_OK;
        *detail &= EXIT_REASON_BASIC;
        return *detail == EXIT_REASON_ENTRY_STATE ? CHECK_GUEST
               : *detail == EXIT_REASON_ENTRY_MSR ? CHECK_MSR
                                                  : CHECK_OTHER;
    }
    *detail = r == VMX_FAIL_VALID ? vmread(VMCS_INSTRUCTION_ERROR) : 0;
    return *detail == ERROR_CONTROLS ? CHECK_CONTROL
           : *detail == ERROR_HOST   ? CHECK_HOST
                                     : CHECK_OTHER;
}

static enum VmcsField field_to_blame(const struct CheckCase *c)
{
    int last = 0;
    while (last < MAX_POKES - 1 && c->pokes[last + 1].op != POKE_END)
        last++;
    return c->blamed != 0 ? c->blamed : c->pokes[last].field;
}

static bool blames(const struct CheckView *v, enum VmcsField field)
{
    for (uint32_t i = 0; i < MIN(v->violations, ARRAY_SIZE(v->fields)); i++)
        if (v->fields[i] == field)
            return true;
    uint64_t value;
    return !vmread_optional(field,
                            &value); /* then the control that the CPU lacks, too, is to blame */
}

/* One word for a case, counted. */
static const char *judge_case(const struct CheckCase *c, const struct CheckView *v,
                              enum CheckClass cpu, struct Score *score)
{
    bool right = v->class == c->expected && (v->class == CHECK_OK || blames(v, field_to_blame(c)));
    *(c->expected == CHECK_OK ? &score->valid : &score->broken) += 1;
    if (right && v->class == cpu) {
        score->agree++;
        return "agree";
    }
    if (right && c->differs) {
        score->known++;
        return "known";
    }
    score->wrong++;
    return "WRONG";
}

static void try_case(struct Vcpu *vcpu, const struct CheckCase *c, struct Score *score)
{
    struct CheckView v;
    uint32_t detail;
    if (!fresh_vmcs(vcpu, c->base)) {
        score->wrong++;
        return;
    }
    for (int i = 0; i < MAX_POKES; i++)
        poke(vcpu, &c->pokes[i]);
    vmcs_check(&v, false);
    enum CheckClass cpu = ask_cpu(&detail);
    const char *verdict = judge_case(c, &v, cpu, score);
    cprintf("vmxcheck: %lu %s: %s (%s): checker: %s", c - check_cases, verdict, c->name,
            check_base_words[c->base], check_class_words[v.class]);
    if (v.violations > 0)
        cprintf(", %s", vmcs_field_name(v.fields[0]));
    cprintf("; CPU: %s, %u", check_class_words[cpu], detail);
    if (verdict[0] == 'k')
        cprintf("; %s", c->differs);
    cprintf("\n");
}

void check_break(struct Vcpu *vcpu)
{
    const char *prefix = "break-", *name = vcpu->env->env_name;
    size_t len = strlen(prefix);
    if (strncmp(name, prefix, len) != 0)
        return;
    size_t number = strtol(name + len, NULL, 10);
    for (int i = 0; number < check_ncases && i < MAX_POKES; i++)
        poke(vcpu, &check_cases[number].pokes[i]);
}

void check_self_test(void)
{
    static struct Env env;
    struct Vcpu *vcpu;
    struct Score score = { 0 };
    const uint64_t memsize = 4ul << 20, entry = 1ul << 20;
    if (vmx_init_vmxon() < 0)
        return;
    if (vm_alloc(&vcpu, memsize, entry, 0) < 0) {
        cprintf("vmxcheck: no memory for the test\n");
        return;
    }
    vcpu->env = &env;
    invept(INVEPT_ALL, 0);
    for (size_t i = 0; i < check_ncases; i++)
        try_case(vcpu, &check_cases[i], &score);
    cprintf("vmxcheck: %u rules broken and %u valid variants, %u verdicts agree with the CPU, "
            "%u known differences, %u wrong\n",
            score.broken, score.valid, score.agree, score.known, score.wrong);
    vm_drop(vcpu->vm);
}
