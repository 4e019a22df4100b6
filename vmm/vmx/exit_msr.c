/*
 * RDMSR and WRMSR. One table says which MSRs a guest reaches without an exit and how the others
 * behave; an MSR that is not in it raises #GP, as on a CPU that does not have it.
 */
#include <vmm/internal.h>

/* Switched by the MSR areas of the VMCS. MSR_TSC_AUX is last: a CPU may not have it. */
const uint32_t switched_msrs[] = {
    [SWITCHED_KERNEL_GS_BASE] = MSR_KERNEL_GS_BASE,
    MSR_STAR,
    MSR_LSTAR,
    MSR_CSTAR,
    MSR_SFMASK,
    MSR_TSC_AUX,
    0,
};
_Static_assert(ARRAY_SIZE(switched_msrs) == NSWITCHED_MSRS + 1, "size of the MSR areas");

#define APIC_BASE_VALUE          (0xfee00000ul | 1 << 8 | 1 << 10 | 1 << 11) /* BSP, x2APIC, enabled */
#define MISC_ENABLE_FAST_STRINGS (1ul << 0)
#define MISC_ENABLE_NO_BTS       (1ul << 11)
#define MISC_ENABLE_NO_PEBS      (1ul << 12)
#define MISC_ENABLE_VALUE        (MISC_ENABLE_FAST_STRINGS | MISC_ENABLE_NO_BTS | MISC_ENABLE_NO_PEBS)
#define EFER_GUEST               (EFER_SCE | EFER_LME | EFER_LMA | EFER_NXE)
#define PASS_READ                1
#define PASS_WRITE               2
#define PASS                     (PASS_READ | PASS_WRITE)

/* How a WRMSR ends: every write function calls this last. */
static inline bool end_write(struct Guest *g, bool allowed)
{
    return allowed ? skip(g) : inject_gp(g);
}

static bool read_apic_base(struct Guest *g, uint64_t *v)
{
    (void)g;
    *v = APIC_BASE_VALUE;
    return true;
}

/* The local APIC stays where it is, enabled, in x2APIC mode. */
static bool write_apic_base(struct Guest *g, uint64_t v)
{
    return end_write(g, v == APIC_BASE_VALUE);
}

static bool read_misc_enable(struct Guest *g, uint64_t *v)
{
    (void)g;
    *v = MISC_ENABLE_VALUE;
    return true;
}

static bool write_ignored(struct Guest *g, uint64_t v)
{
    (void)v;
    return end_write(g, true);
}

static bool read_zero(struct Guest *g, uint64_t *v)
{
    (void)g;
    *v = 0;
    return true;
}

static bool write_zero_only(struct Guest *g, uint64_t v)
{
    return end_write(g, v == 0);
}

static bool write_tsc(struct Guest *g, uint64_t v)
{
    uint64_t deadline = vapic_read_deadline(g);
    g->tsc_offset = v - read_tsc();
    vmwrite(VMCS_TSC_OFFSET, g->tsc_offset);
    if (deadline != 0)
        vapic_write_deadline(g, deadline); /* stays where it is on the guest's clock */
    return end_write(g, true);
}

static bool read_deadline(struct Guest *g, uint64_t *v)
{
    *v = vapic_read_deadline(g);
    return true;
}

static bool write_deadline(struct Guest *g, uint64_t v)
{
    vapic_write_deadline(g, v);
    return end_write(g, true);
}

static bool read_pat(struct Guest *g, uint64_t *v)
{
    (void)g;
    if (!(vmx_caps.entry & ENTRYC_LOAD_PAT))
        return false;
    *v = vmread(VMCS_GUEST_PAT);
    return true;
}

/* Eight memory types: 2, 3 and those above 7 do not exist. */
static bool write_pat(struct Guest *g, uint64_t v)
{
    if (!(vmx_caps.entry & ENTRYC_LOAD_PAT))
        return end_write(g, false);
    for (int i = 0; i < 8; i++) {
        uint8_t type = v >> (8 * i);
        if (type > 7 || type == 2 || type == 3)
            return end_write(g, false);
    }
    vmwrite(VMCS_GUEST_PAT, v);
    return end_write(g, true);
}

static bool read_efer(struct Guest *g, uint64_t *v)
{
    (void)g;
    *v = vmread(VMCS_GUEST_EFER);
    return true;
}

/* LMA is the CPU's; LME must not change while paging is on (SDM "Initializing IA-32e Mode"). */
static bool write_efer(struct Guest *g, uint64_t v)
{
    uint64_t old = vmread_known(VMCS_GUEST_EFER);
    if (v & ~(uint64_t)EFER_GUEST)
        return end_write(g, false);
    if ((v & EFER_NXE) && !cpu_features.nx)
        return end_write(g, false);
    if (((v ^ old) & EFER_LME) && (vmread_known(VMCS_GUEST_CR0) & CR0_PG))
        return end_write(g, false);
    vmwrite_known(VMCS_GUEST_EFER, (v & ~(uint64_t)EFER_LMA) | (old & EFER_LMA));
    if ((v ^ old) & EFER_NXE)
        guest_attn(g, ATTN_TLB_FLUSH);
    return end_write(g, true);
}

static const struct MsrRule {
    uint32_t msr;
    uint32_t pass; /* PASS_*: no exit */
    bool (*read)(struct Guest *g, uint64_t *v);
    bool (*write)(struct Guest *g, uint64_t v); /* returns what its end_write does */
} rules[] = {
    { MSR_EFER, PASS_READ, read_efer, write_efer },
    { MSR_TSC_DEADLINE, 0, read_deadline, write_deadline },
    { MSR_TSC, PASS_READ, NULL, write_tsc },
    { MSR_APIC_BASE, 0, read_apic_base, write_apic_base },
    { MSR_BIOS_SIGN_ID, 0, read_zero, write_ignored },
    { MSR_MISC_ENABLE, 0, read_misc_enable, write_ignored },
    { MSR_DEBUGCTL, 0, read_zero, write_zero_only },
    { MSR_PAT, 0, read_pat, write_pat },
    /* In guest-state fields of the VMCS: */
    { MSR_SYSENTER_CS, PASS, NULL, NULL },
    { MSR_SYSENTER_ESP, PASS, NULL, NULL },
    { MSR_SYSENTER_EIP, PASS, NULL, NULL },
    { MSR_FS_BASE, PASS, NULL, NULL },
    { MSR_GS_BASE, PASS, NULL, NULL },
    /* In the MSR areas (switched_msrs): */
    { MSR_STAR, PASS, NULL, NULL },
    { MSR_LSTAR, PASS, NULL, NULL },
    { MSR_CSTAR, PASS, NULL, NULL },
    { MSR_SFMASK, PASS, NULL, NULL },
    { MSR_KERNEL_GS_BASE, PASS, NULL, NULL },
    { MSR_TSC_AUX, PASS, NULL, NULL },
};

/* Layout of the bitmap, 1 KiB each: SDM "MSR-Bitmap Address". */
#define BITMAP_READ_LOW  0
#define BITMAP_READ_HIGH 1024
#define BITMAP_WRITE     2048
#define HIGH_MSRS        0xc0000000u
#define BITMAP_MSRS      0x1fff

static void let_through(uint8_t *bitmap, uint32_t msr, int pass)
{
    uint8_t *map = bitmap + (msr >= HIGH_MSRS ? BITMAP_READ_HIGH : BITMAP_READ_LOW);
    uint32_t bit = msr & BITMAP_MSRS;
    if (pass & PASS_READ)
        map[bit / 8] &= ~(1u << bit % 8);
    if (pass & PASS_WRITE)
        map[BITMAP_WRITE + bit / 8] &= ~(1u << bit % 8);
}

void msr_bitmap_init(uint8_t *bitmap)
{
    memset(bitmap, 0xff, PGSIZE);
    for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
        if (rules[i].msr == MSR_TSC_AUX && !(vmx_caps.proc2 & PROC2_RDTSCP))
            continue;
        let_through(bitmap, rules[i].msr, rules[i].pass);
    }
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

static bool is_x2apic(uint32_t msr)
{
    return msr - MSR_X2APIC < 0x100;
}

bool handle_rdmsr(struct Guest *g)
{
    uint32_t msr = g->env->env_tf.tf_rcx;
    uint64_t v = 0;
    if (is_x2apic(msr))
        return vapic_read(g, msr);
    const struct MsrRule *rule = rule_for(msr);
    if (rule == NULL || rule->read == NULL || !rule->read(g, &v))
        return inject_gp(g);
    return end_rdmsr(g, v);
}

bool handle_wrmsr(struct Guest *g)
{
    const struct Trapframe *tf = &g->env->env_tf;
    uint32_t msr = tf->tf_rcx;
    uint64_t v = (uint32_t)tf->tf_rax | tf->tf_rdx << 32;
    if (is_x2apic(msr))
        return vapic_write(g, msr, v);
    const struct MsrRule *rule = rule_for(msr);
    if (rule == NULL || rule->write == NULL)
        return inject_gp(g);
    return rule->write(g, v);
}
