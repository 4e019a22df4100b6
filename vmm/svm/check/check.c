/*
 * The rules by which a CPU refuses a VMCB, and the walk through them. Not there are those of
 * features that this VMM never turns on: CET, SEV, AVIC, LBR virtualization.
 */
#include <inc/mmu.h>
#include <inc/stdio.h>
#include <kern/cpu.h>
#include <kern/trap.h>
#include <vmm/msr.h>
#include <vmm/svm/check/check.h>

#define SECTION             "Canonicalization and Consistency Checks"
#define CPUID_ADDRESS_SIZES 0x80000008u
#define HIGH_HALF           0xffffffff00000000ul
#define CR3_LOW_BITS        0xffful
/* Bits of EFER that have a meaning: SCE, LME, LMA, NXE, SVME, LMSLE, FFXSR, TCE. */
#define EFER_DEFINED 0xfd01ul
/* Bits of CR4 up to PKE, SMAP and SMEP among them, but for those that are reserved on all CPUs. */
#define CR4_RESERVED 0xffffffffff88f000ul
#define IOPM_BYTES   ((uint64_t)IOPM_PAGES * PGSIZE)
#define MSRPM_BYTES  ((uint64_t)MSRPM_PAGES * PGSIZE)

static bool zero_bits(const struct SvmCheckView *v, uint64_t value, uint64_t arg)
{
    (void)v;
    return (value & arg) == 0;
}

static bool one_bits(const struct SvmCheckView *v, uint64_t value, uint64_t arg)
{
    (void)v;
    return (value & arg) == arg;
}

/* A table of arg bytes is within the physical-address width. */
static bool physical(const struct SvmCheckView *v, uint64_t value, uint64_t arg)
{
    return (value + arg - 1) >> v->physical_bits == 0;
}

static bool not_zero(const struct SvmCheckView *v, uint64_t value, uint64_t arg)
{
    (void)v, (void)arg;
    return value != 0;
}

static bool nw_with_cd(const struct SvmCheckView *v, uint64_t value, uint64_t arg)
{
    (void)v, (void)arg;
    return !(value & CR0_NW) || (value & CR0_CD);
}

static bool cr4_bits(const struct SvmCheckView *v, uint64_t value, uint64_t arg)
{
    (void)v;
    uint64_t missing = (cpu_features.smep ? 0 : CR4_SMEP) | (cpu_features.smap ? 0 : CR4_SMAP) |
                       (cpu_features.umip ? 0 : CR4_UMIP) |
                       (cpu_features.fsgsbase ? 0 : CR4_FSGSBASE);
    return (value & (arg | missing)) == 0;
}

static bool not_l_and_d(const struct SvmCheckView *v, uint64_t value, uint64_t arg)
{
    (void)arg;
    return !(v->b->cr4 & CR4_PAE) || !(value & VMCB_SEG_L) || !(value & VMCB_SEG_DB);
}

static bool memory_types(const struct SvmCheckView *v, uint64_t value, uint64_t arg)
{
    (void)v, (void)arg;
    for (int i = 0; i < 8; i++) {
        uint8_t type = value >> 8 * i;
        if (type > 7 || type == 2 || type == 3)
            return false;
    }
    return true;
}

static bool event_type(const struct SvmCheckView *v, uint64_t value, uint64_t arg)
{
    (void)v, (void)arg;
    uint32_t type = value & EVENT_TYPE;
    return type == EVENT_EXTINT || type == EVENT_NMI || type == EVENT_EXCEPTION ||
           type == EVENT_SOFT_INT;
}

static bool exception_vector(const struct SvmCheckView *v, uint64_t value, uint64_t arg)
{
    (void)v, (void)arg;
    uint32_t vector = value & EVENT_VECTOR;
    return (value & EVENT_TYPE) != EVENT_EXCEPTION || (vector != T_NMI && vector < 32);
}

const struct SvmRule svm_rules[] = {
    { VMCB_EFER, ALWAYS, one_bits, EFER_SVME, "SVME is clear" },
    { VMCB_EFER, ALWAYS, zero_bits, ~EFER_DEFINED, "a reserved bit is set" },
    { VMCB_CR0, ALWAYS, nw_with_cd, 0, "NW is set, but CD is not" },
    { VMCB_CR0, ALWAYS, zero_bits, HIGH_HALF, "bits 63:32 are not zero" },
    { VMCB_CR3, MODE_LONG, physical, 1, "a bit beyond the physical-address width is set" },
    { VMCB_CR4, ALWAYS, cr4_bits, CR4_RESERVED, "a bit is set that the CPU does not have" },
    { VMCB_DR6, ALWAYS, zero_bits, HIGH_HALF, "bits 63:32 are not zero" },
    { VMCB_DR7, ALWAYS, zero_bits, HIGH_HALF, "bits 63:32 are not zero" },
    { VMCB_CR4, MODE_LONG, one_bits, CR4_PAE, "long mode with paging, but PAE is clear" },
    { VMCB_CR0, MODE_LONG, one_bits, CR0_PE, "long mode with paging, but PE is clear" },
    { VMCB_CS_ATTRIB, MODE_LONG, not_l_and_d, 0, "L and D are both set" },
    { VMCB_INTERCEPT_MISC2, ALWAYS, one_bits, MISC2_VMRUN, "VMRUN is not intercepted" },
    { VMCB_IOPM_BASE_PA, ALWAYS, physical, IOPM_BYTES, "the map ends beyond the width" },
    { VMCB_MSRPM_BASE_PA, ALWAYS, physical, MSRPM_BYTES, "the map ends beyond the width" },
    { VMCB_GUEST_ASID, ALWAYS, not_zero, 0, "it is the host's, 0" },
    { VMCB_EVENTINJ, MODE_INJECT, event_type, 0, "no such type of event" },
    { VMCB_EVENTINJ, MODE_INJECT, exception_vector, 0, "no exception has this vector" },
    { VMCB_G_PAT, MODE_NESTED, memory_types, 0, "no such memory type" },
    { VMCB_N_CR3, MODE_NESTED, physical, 1, "a bit beyond the physical-address width is set" },
};
const size_t svm_nrules = ARRAY_SIZE(svm_rules);

static uint32_t modes_of(const struct Vmcb *b)
{
    return ((b->efer & EFER_LME) && (b->cr0 & CR0_PG) ? MODE_LONG : 0) |
           (b->event_inject & EVENT_VALID ? MODE_INJECT : 0) |
           (b->nested_paging & NESTED_ON ? MODE_NESTED : 0);
}

static void violation(struct SvmCheckView *v, const struct SvmRule *r, uint64_t value)
{
    if (v->violations < ARRAY_SIZE(v->fields))
        v->fields[v->violations] = r->field;
    v->violations++;
    if (v->print)
        cprintf("vmxcheck: %s = 0x%lx: %s (APM 2 \"" SECTION "\")\n", vmcb_field_name(r->field),
                value, r->words);
}

void svm_check_vmcb(struct SvmCheckView *v, const struct Vmcb *b, bool print)
{
    *v = (struct SvmCheckView){
        .b = b,
        .modes = modes_of(b),
        .physical_bits = cpuid(CPUID_ADDRESS_SIZES, 0).eax & 0xff,
        .print = print,
    };
    for (const struct SvmRule *r = svm_rules; r < svm_rules + svm_nrules; r++) {
        uint64_t value = vmcb_read(b, r->field);
        if ((v->modes & r->modes) == r->modes && !r->holds(v, value, r->arg))
            violation(v, r, value);
    }
}

unsigned svm_check_entry(struct Vcpu *v)
{
    struct SvmCheckView view;
    svm_check_vmcb(&view, svm_vmcb(v), true);
    return view.violations;
}
