/*
 * Debug registers as breakpoints and watchpoints of a guest's debugger (SDM "Debug Registers").
 * While one is set, all of them are the debugger's: the guest's accesses exit, and find shadows.
 */
#include <inc/error.h>
#include <inc/mmu.h>
#include <vmm/backend.h>
#include <vmm/debug/debug.h>
#include <vmm/debug/dr.h>
#include <vmm/verdict.h>
#include <vmm/debug/drs.h>

#define DR6_WRITABLE 0xe00ful
#define DR_ALIAS     2 /* DR4 and DR5 are DR6 and DR7 */

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
    uint64_t value = DR7_INIT;
    for (int n = 0; n < NDRS; n++)
        if (d->hw[n].size != 0)
            value |= DR7_EXACT | DR7_ENABLE(n) | (uint64_t)d->hw[n].kind << DR7_RW_SHIFT(n) |
                     len_field(d->hw[n].size) << DR7_LEN_SHIFT(n);
    return value;
}

uint64_t debug_hw_hits(const struct GuestDebug *d, uint64_t causes)
{
    uint64_t hits = 0;
    for (int n = 0; d->owns_drs && n < NDRS; n++)
        if (d->hw[n].size != 0)
            hits |= causes & 1ul << n;
    return hits;
}

void debug_load_drs(struct Vcpu *v)
{
    const struct GuestDebug *d = v->debug;
    ldr0(d->hw[0].va);
    ldr1(d->hw[1].va);
    ldr2(d->hw[2].va);
    ldr3(d->hw[3].va);
    backend->set(v, VREG_DR6, DR6_INIT);
}

/* With none of the debugger's left, the guest has its own again, from its first access on.
 */
void debug_switch_drs(struct Vcpu *v)
{
    struct GuestDebug *d = v->debug;
    uint64_t dr7 = dr7_value(d);
    bool want = dr7 != DR7_INIT;
    if (want && !d->owns_drs) {
        if (vcpu_uses_drs(v))
            vcpu_save_drs(v);
        d->guest_dr7 = backend->get(v, VREG_DR7);
    } else if (!want && d->owns_drs) {
        dr7 = d->guest_dr7;
    } else if (!want) {
        return;
    }
    d->owns_drs = want;
    backend->set(v, VREG_DR7, dr7);
    if (vcpu_uses_drs(v))
        vcpu_load_drs(v);
    backend->set_dr_exits(v, want || !v->dr_live);
}

void debug_set_status(struct Vcpu *v, uint64_t causes)
{
    v->dr6 = ((v->dr6 | DR6_INIT) & ~DR6_BREAKPOINTS) | causes;
    v->dr_live = true;
}

static uint64_t read_dr(const struct Vcpu *v, int n)
{
    if (n < NDRS)
        return v->dr[n];
    return n == 6 ? v->dr6 | DR6_INIT : v->debug->guest_dr7;
}

/* false: #GP. */
static bool write_dr(struct Vcpu *v, int n, uint64_t value)
{
    if (n >= NDRS && value >> 32)
        return false;
    if (n < NDRS)
        v->dr[n] = value;
    else if (n == 6)
        v->dr6 = (value & DR6_WRITABLE) | DR6_INIT;
    else
        v->debug->guest_dr7 = (value & ~DR7_ZEROES) | DR7_INIT;
    v->dr_live = true;
    return true;
}

enum Verdict debug_movdr(struct Vcpu *v, int n, int gpr, bool read)
{
    if (n == 4 || n == 5) {
        if (backend->get(v, VREG_CR4) & CR4_DE)
            return DO_UD;
        n += DR_ALIAS;
    }
    if (v->debug->guest_dr7 & DR7_GD) {
        vcpu_debug_trap(v, DR6_BD);
        return DO_AGAIN;
    }
    if (!read)
        return write_dr(v, n, vcpu_gpr(v, gpr)) ? DO_NEXT : DO_GP;
    vcpu_set_gpr(v, gpr, read_dr(v, n));
    return DO_NEXT;
}
