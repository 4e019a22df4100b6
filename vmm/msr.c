/*
 * RDMSR and WRMSR. One table says which MSRs a guest reaches without an exit and how the others
 * behave; an MSR that is not in it raises #GP, as on a CPU that does not have it.
 */
#include <inc/x86.h>
#include <kern/cpu.h>
#include <vmm/backend.h>
#include <vmm/cpuid.h>
#include <vmm/features.h>
#include <vmm/msr.h>
#include <vmm/vapic.h>
#include <vmm/verdict.h>
#include <vmm/vcpu.h>

#define MISC_ENABLE_NO_BTS  (1ul << 11)
#define MISC_ENABLE_NO_PEBS (1ul << 12)

static const struct MsrValue no_value = { .verdict = DO_GP };

static struct MsrValue value_is(uint64_t value)
{
    return (struct MsrValue){ .value = value, .verdict = DO_NEXT };
}

static enum Verdict allowed_if(bool allowed)
{
    return allowed ? DO_NEXT : DO_GP;
}

static struct MsrValue read_apic_base(struct Vcpu *v)
{
    return value_is(v->vapic.base);
}

static struct MsrValue read_misc_enable(struct Vcpu *v)
{
    (void)v;
    uint64_t fast_strings = cpuid_has_fast_strings() ? MISC_ENABLE_FAST_STRINGS : 0;
    return value_is(fast_strings | MISC_ENABLE_NO_BTS | MISC_ENABLE_NO_PEBS);
}

static enum Verdict write_ignored(struct Vcpu *v, uint64_t value)
{
    (void)v, (void)value;
    return DO_NEXT;
}

static struct MsrValue read_zero(struct Vcpu *v)
{
    (void)v;
    return value_is(0);
}

static enum Verdict write_zero_only(struct Vcpu *v, uint64_t value)
{
    (void)v;
    return allowed_if(value == 0);
}

/* AMD's, which Linux reads without looking first: no memory types but those of everybody's MTRRs;
 * no C1E. */
static struct MsrValue read_zero_on_amd(struct Vcpu *v)
{
    return cpuid_is_amd(v) ? value_is(0) : no_value;
}

static enum Verdict write_zero_on_amd(struct Vcpu *v, uint64_t value)
{
    return allowed_if(cpuid_is_amd(v) && value == 0);
}

/* Whatever is added to the TSC is added to this MSR as well, and the other way round (SDM
 * "IA32_TSC_ADJUST MSR Support"). */
static void add_to_tsc(struct Vcpu *v, uint64_t difference)
{
    uint64_t deadline = vapic_read_deadline(v);
    v->tsc_offset += difference;
    v->tsc_adjust += difference;
    backend->set(v, VREG_TSC_OFFSET, v->tsc_offset);
    if (deadline != 0)
        vapic_write_deadline(v, deadline); /* stays where it is on the guest's clock */
}

static enum Verdict write_tsc(struct Vcpu *v, uint64_t value)
{
    add_to_tsc(v, value - read_tsc() - v->tsc_offset);
    return DO_NEXT;
}

static struct MsrValue read_tsc_adjust(struct Vcpu *v)
{
    return vm_has(v->vm, tsc_adjust) ? value_is(v->tsc_adjust) : no_value;
}

static enum Verdict write_tsc_adjust(struct Vcpu *v, uint64_t value)
{
    if (!vm_has(v->vm, tsc_adjust))
        return DO_GP;
    add_to_tsc(v, value - v->tsc_adjust);
    return DO_NEXT;
}

static struct MsrValue read_deadline(struct Vcpu *v)
{
    return value_is(vapic_read_deadline(v));
}

static enum Verdict write_deadline(struct Vcpu *v, uint64_t value)
{
    vapic_write_deadline(v, value);
    return DO_NEXT;
}

static struct MsrValue read_pat(struct Vcpu *v)
{
    return vm_has(v->vm, pat) ? value_is(backend->get(v, VREG_PAT)) : no_value;
}

/* Eight memory types: 2, 3 and those above 7 do not exist. */
static enum Verdict write_pat(struct Vcpu *v, uint64_t value)
{
    if (!vm_has(v->vm, pat))
        return DO_GP;
    for (int i = 0; i < 8; i++) {
        uint8_t type = value >> (8 * i);
        if (type > 7 || type == 2 || type == 3)
            return DO_GP;
    }
    backend->set(v, VREG_PAT, value);
    return DO_NEXT;
}

static const struct MsrRule {
    uint32_t msr;
    uint32_t pass; /* MSR_PASS_*: no exit */
    struct MsrValue (*read)(struct Vcpu *v);
    enum Verdict (*write)(struct Vcpu *v, uint64_t value);
} rules[] = {
    { MSR_EFER, MSR_PASS_READ, NULL, NULL }, /* written in the back end */
    { MSR_TSC_DEADLINE, 0, read_deadline, write_deadline },
    { MSR_TSC, MSR_PASS_READ, NULL, write_tsc },
    { MSR_TSC_ADJUST, 0, read_tsc_adjust, write_tsc_adjust },
    { MSR_APIC_BASE, 0, read_apic_base, vapic_write_base },
    { MSR_BIOS_SIGN_ID, 0, read_zero, write_ignored },
    { MSR_MISC_ENABLE, 0, read_misc_enable, write_ignored },
    { MSR_DEBUGCTL, 0, read_zero, write_zero_only },
    { MSR_SYSCFG, 0, read_zero_on_amd, write_zero_on_amd },
    { MSR_INT_PENDING, 0, read_zero_on_amd, write_zero_on_amd },
    { MSR_PAT, 0, read_pat, write_pat },
    /* The guest's own while it runs: in the VMCS or its MSR areas; in the VMCB. */
    { MSR_SYSENTER_CS, MSR_PASS, NULL, NULL },
    { MSR_SYSENTER_ESP, MSR_PASS, NULL, NULL },
    { MSR_SYSENTER_EIP, MSR_PASS, NULL, NULL },
    { MSR_FS_BASE, MSR_PASS, NULL, NULL },
    { MSR_GS_BASE, MSR_PASS, NULL, NULL },
    { MSR_STAR, MSR_PASS, NULL, NULL },
    { MSR_LSTAR, MSR_PASS, NULL, NULL },
    { MSR_CSTAR, MSR_PASS, NULL, NULL },
    { MSR_SFMASK, MSR_PASS, NULL, NULL },
    { MSR_KERNEL_GS_BASE, MSR_PASS, NULL, NULL },
    { MSR_TSC_AUX, MSR_PASS, NULL, NULL },
};

void msr_each_passed(void (*let_through)(uint8_t *map, uint32_t msr, int pass), uint8_t *map)
{
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
        if (rules[i].pass != 0 && (rules[i].msr != MSR_TSC_AUX || guest_features.rdtscp))
            let_through(map, rules[i].msr, rules[i].pass);
}

static void count_unknown(struct Vcpu *v, uint32_t msr)
{
    v->stats.unknown_msrs++;
    v->stats.last_unknown_msr = msr;
}

/* Unrolled into comparisons with constants. */
static inline const struct MsrRule *rule_for(uint32_t msr)
{
#pragma GCC unroll 32
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
        if (rules[i].msr == msr)
            return &rules[i];
    return NULL;
}

/* What no rule is for: an MTRR, or nothing. */
static struct MsrValue __attribute__((noinline)) read_other(struct Vcpu *v, uint32_t msr)
{
    struct MsrValue r = vm_has(v->vm, mtrr) ? mtrr_read(&v->mtrrs, msr) : no_value;
    if (r.verdict != DO_NEXT)
        count_unknown(v, msr);
    return r;
}

static enum Verdict __attribute__((noinline))
write_other(struct Vcpu *v, uint32_t msr, uint64_t value)
{
    if (!vm_has(v->vm, mtrr) || mtrr_read(&v->mtrrs, msr).verdict != DO_NEXT) {
        count_unknown(v, msr);
        return DO_GP;
    }
    return mtrr_write(&v->mtrrs, cpuid_physical_bits(), msr, value);
}

struct MsrValue msr_read(struct Vcpu *v, uint32_t msr)
{
    const struct MsrRule *rule = rule_for(msr);
    return rule && rule->read ? rule->read(v) : read_other(v, msr);
}

enum Verdict msr_write(struct Vcpu *v, uint32_t msr, uint64_t value)
{
    const struct MsrRule *rule = rule_for(msr);
    return rule && rule->write ? rule->write(v, value) : write_other(v, msr, value);
}
