/*
 * The engine of the VM-entry checker: it collects what the rules need, walks the tables of
 * check_*.c, and reports. Before an entry it runs only with the word vmxcheck; after an entry that
 * has failed it always runs.
 */
#include <inc/stdio.h>
#include <inc/string.h>
#include <vmm/vmx/check/check.h>
#include <kern/platform.h>
#include <kern/cmdline.h>

#define CPUID_PERF          0xa
#define CPUID_ADDRESS_SIZES 0x80000008

const char *const check_class_words[] = {
    [CHECK_OK] = "valid",        [CHECK_CONTROL] = "control fields",
    [CHECK_HOST] = "host state", [CHECK_GUEST] = "guest state",
    [CHECK_MSR] = "MSR loading", [CHECK_OTHER] = "something else",
};

bool check_read_physical(physaddr_t pa, void *buf, size_t len)
{
    if (PGNUM(pa) >= npages || PGOFF(pa) + len > PGSIZE)
        return false;
    memcpy(buf, KADDR(pa), len);
    return true;
}

void check_violation(struct CheckView *v, const struct CheckSection *s, enum VmcsField field,
                     uint64_t value, const char *words)
{
    if (v->violations == 0)
        v->class = s->class;
    if (v->violations < ARRAY_SIZE(v->fields))
        v->fields[v->violations] = field;
    v->violations++;
    if (v->print)
        cprintf("vmxcheck: %s = 0x%lx: %s (SDM \"%s\")\n", vmcs_field_name(field), value, words,
                s->title);
}

/* ---- predicates that several tables use ---- */

bool check_zero_bits(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    (void)v;
    return (value & arg) == 0;
}

bool check_one_bits(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    (void)v;
    return (value & arg) == arg;
}

bool check_fixed_cr4(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    (void)v, (void)arg;
    return (value & vmx_caps.cr4_fixed0) == vmx_caps.cr4_fixed0 &&
           (value & ~vmx_caps.cr4_fixed1) == 0;
}

bool check_canonical(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    (void)arg;
    uint32_t unused = 64 - v->linear_bits;
    return (uint64_t)((int64_t)(value << unused) >> unused) == value;
}

bool check_physical(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    return (value & arg) == 0 && value >> v->physical_bits == 0;
}

bool check_pat(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    (void)v, (void)arg;
    const uint32_t types = 1 << 0 | 1 << 1 | 1 << 4 | 1 << 5 | 1 << 6 | 1 << 7;
    for (int i = 0; i < 8; i++, value >>= 8)
        if ((value & 0xff) > 7 || !(types >> (value & 0xff) & 1))
            return false;
    return true;
}

/* Counters that the CPU has: SDM "Architectural Performance Monitoring" */
bool check_perf(const struct CheckView *v, uint64_t value, uint64_t arg)
{
    (void)v, (void)arg;
    struct CpuidRegs r = cpuid(CPUID_PERF, 0);
    uint64_t general = (1ul << (r.eax >> 8 & 0xff)) - 1, fixed = (1ul << (r.edx & 0x1f)) - 1;
    return (value & ~(general | fixed << 32)) == 0;
}

/* ---- the run through the tables ---- */

static void read_controls(struct CheckView *v)
{
    v->word[IN_PIN] = vmread(VMCS_PIN_CONTROLS);
    v->word[IN_PROC] = vmread(VMCS_PROC_CONTROLS);
    if (v->word[IN_PROC] & PROC_SECONDARY)
        v->word[IN_PROC2] = vmread(VMCS_PROC2_CONTROLS);
    v->word[IN_EXIT] = vmread(VMCS_EXIT_CONTROLS);
    v->word[IN_ENTRY] = vmread(VMCS_ENTRY_CONTROLS);
}

static uint32_t find_modes(const struct CheckView *v)
{
    bool ia32e = v->word[IN_ENTRY] & ENTRYC_IA32E;
    bool paging = v->cr0 & CR0_PG;
    return (ia32e ? MODE_IA32E : MODE_LEGACY) | (v->rflags & FL_VM ? MODE_V86 : MODE_PROTECTED) |
           (v->word[IN_PROC2] & PROC2_UNRESTRICTED ? MODE_URG : MODE_RESTRICT) |
           (v->word[IN_EXIT] & EXITC_HOST_64 ? MODE_HOST_64 : MODE_HOST_32) |
           (v->info & EVENT_VALID ? MODE_INJECT : 0) |
           (paging && (v->cr4 & CR4_PAE) && !ia32e ? MODE_PAE : 0) |
           (vmread(VMCS_LINK_POINTER) != ~0ul ? MODE_LINK : 0);
}

static void read_view(struct CheckView *v)
{
    read_controls(v);
    v->cr0 = vmread(VMCS_GUEST_CR0);
    v->cr4 = vmread(VMCS_GUEST_CR4);
    v->rflags = vmread(VMCS_GUEST_RFLAGS);
    v->debugctl = vmread(VMCS_GUEST_DEBUGCTL);
    v->block = vmread(VMCS_GUEST_INTERRUPTIBILITY);
    v->activity = vmread(VMCS_GUEST_ACTIVITY);
    v->info = vmread(VMCS_ENTRY_INTR_INFO);
    v->cs_ar = vmread(VMCS_GUEST_CS_AR);
    v->ss_ar = vmread(VMCS_GUEST_SS_AR);
    v->word[IN_MODE] = find_modes(v);
    v->basic = rdmsr(MSR_VMX_BASIC);
    v->misc = rdmsr(MSR_VMX_MISC);
    uint32_t sizes = cpuid(CPUID_ADDRESS_SIZES, 0).eax;
    v->physical_bits = sizes & 0xff;
    v->linear_bits = sizes >> 8 & 0xff;
}

static void check_section(struct CheckView *v, const struct CheckSection *s)
{
    for (const struct CheckRule *r = s->rules; r < s->rules + s->nrules; r++) {
        uint64_t value;
        if (check_applies(v, r->word, r->bits) && vmread_optional(r->field, &value) &&
            !r->holds(v, value, r->arg))
            check_violation(v, s, r->field, value, r->words);
    }
    if (s->more)
        s->more(v, s);
}

void vmcs_check(struct CheckView *v, bool print)
{
    static const struct CheckSection *const lists[] = { check_controls, check_host, check_guest,
                                                        check_segments, check_msrs };
    *v = (struct CheckView){ .print = print };
    read_view(v);
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
        for (const struct CheckSection *s = lists[i]; s->title; s++)
            check_section(v, s);
}
