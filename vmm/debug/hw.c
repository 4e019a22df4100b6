/*
 * Debug registers as breakpoints and watchpoints of a guest's debugger (SDM "Debug Registers").
 * While one is set, all of them are the debugger's: the guest's accesses exit, and find shadows.
 */
#include <vmm/debug/debug.h>

/* Exit qualification for MOV DR */
#define QUAL_DR(q)     ((q)&7)
#define QUAL_DR_FROM   (1u << 4)
#define QUAL_DR_GPR(q) (((q) >> 8) & 0xf)
#define DR6_WRITABLE   0xe00ful
#define DR_ALIAS       2 /* DR4 and DR5 are DR6 and DR7 */

static uint64_t len_field(uint32_t size)
{
    static const uint8_t field[] = { [1] = 0, [2] = 1, [4] = 3, [8] = 2 };
    return field[size];
}

static bool hw_ok(const struct GuestDebugHw *hw)
{
    if (hw->size == 0)
        return true;
    if (hw->kind == DEBUG_HW_EXEC)
        return hw->size == 1;
    if (hw->kind != DEBUG_HW_WRITE && hw->kind != DEBUG_HW_ACCESS)
        return false;
    return hw->size <= 8 && (hw->size & (hw->size - 1)) == 0 && hw->va % hw->size == 0;
}

int debug_set_hw(struct GuestDebug *d, uint64_t n, const struct GuestDebugHw *hw)
{
    if (n >= NDRS || !hw_ok(hw))
        return -E_INVAL;
    d->hw[n] = *hw;
    return 0;
}

/* DR7 for what is set; DR7_INIT: nothing is. */
static uint64_t dr7_value(const struct GuestDebug *d)
{
    uint64_t v = DR7_INIT;
    for (int n = 0; n < NDRS; n++)
        if (d->hw[n].size != 0)
            v |= DR7_EXACT | DR7_ENABLE(n) | (uint64_t)d->hw[n].kind << DR7_RW_SHIFT(n) |
                 len_field(d->hw[n].size) << DR7_LEN_SHIFT(n);
    return v;
}

uint64_t debug_hw_hits(const struct GuestDebug *d, uint64_t causes)
{
    uint64_t hits = 0;
    for (int n = 0; d->owns_drs && n < NDRS; n++)
        if (d->hw[n].size != 0)
            hits |= causes & 1ul << n;
    return hits;
}

void debug_load_drs(const struct Guest *g)
{
    const struct GuestDebug *d = g->debug;
    ldr0(d->hw[0].va);
    ldr1(d->hw[1].va);
    ldr2(d->hw[2].va);
    ldr3(d->hw[3].va);
    ldr6(DR6_INIT);
}

/* With none of the debugger's left, the guest has its own again: lazily, as handle_movdr does it.
 */
void debug_switch_drs(struct Guest *g)
{
    struct GuestDebug *d = g->debug;
    uint64_t dr7 = dr7_value(d);
    bool want = dr7 != DR7_INIT;
    if (want && !d->owns_drs) {
        save_debug_registers(g);
        d->guest_dr7 = vmread(VMCS_GUEST_DR7);
    } else if (!want && d->owns_drs) {
        dr7 = d->guest_dr7;
    } else if (!want) {
        return;
    }
    d->owns_drs = want;
    vmwrite(VMCS_GUEST_DR7, dr7);
    load_debug_registers(g);
    g->proc = want || !g->dr_live ? g->proc | PROC_MOV_DR : g->proc & ~PROC_MOV_DR;
    vmwrite(VMCS_PROC_CONTROLS, g->proc);
}

void debug_set_status(struct Guest *g, uint64_t causes)
{
    g->dr6 = ((g->dr6 | DR6_INIT) & ~DR6_BREAKPOINTS) | causes;
    g->dr_live = true;
}

static uint64_t read_dr(const struct Guest *g, int n)
{
    if (n < NDRS)
        return g->dr[n];
    return n == 6 ? g->dr6 | DR6_INIT : g->debug->guest_dr7;
}

/* false: #GP. */
static bool write_dr(struct Guest *g, int n, uint64_t v)
{
    if (n >= NDRS && v >> 32)
        return false;
    if (n < NDRS)
        g->dr[n] = v;
    else if (n == 6)
        g->dr6 = (v & DR6_WRITABLE) | DR6_INIT;
    else
        g->debug->guest_dr7 = (v & ~DR7_ZEROES) | DR7_INIT;
    g->dr_live = true;
    return true;
}

bool debug_movdr(struct Guest *g)
{
    uint64_t qual = vmread(VMCS_EXIT_QUALIFICATION);
    int n = QUAL_DR(qual), reg = QUAL_DR_GPR(qual);
    if (n == 4 || n == 5) {
        if (vmread(VMCS_GUEST_CR4) & CR4_DE)
            return inject_ud(g);
        n += DR_ALIAS;
    }
    if (g->debug->guest_dr7 & DR7_GD) {
        inject_debug_trap(g, DR6_BD);
        return resume(g);
    }
    if (!(qual & QUAL_DR_FROM))
        return write_dr(g, n, gpr_read(g, reg)) ? skip(g) : inject_gp(g);
    gpr_write(g, reg, read_dr(g, n));
    return skip(g);
}
