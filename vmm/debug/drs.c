/*
 * Debug registers are the guest's, or its debugger's, only while it runs, and only if it uses them
 * (SDM "Debug Registers").
 */
#include <vmm/exception.h>
#include <kern/gdb/stub.h>
#include <kern/trap.h>
#include <vmm/backend.h>
#include <vmm/debug/debug.h>
#include <vmm/debug/dr.h>
#include <vmm/debug/drs.h>
#include <vmm/guest.h>

bool guest_uses_drs(const struct Vcpu *v)
{
    return vcpu_uses_drs(v);
}

void vcpu_load_drs(struct Vcpu *v)
{
    if (debug_owns_drs(v)) {
        debug_load_drs(v);
        return;
    }
    ldr0(v->dr[0]);
    ldr1(v->dr[1]);
    ldr2(v->dr[2]);
    ldr3(v->dr[3]);
    backend->set(v, VREG_DR6, v->dr6);
}

static void keep(struct Vcpu *v)
{
    v->dr[0] = rdr0();
    v->dr[1] = rdr1();
    v->dr[2] = rdr2();
    v->dr[3] = rdr3();
    v->dr6 = backend->get(v, VREG_DR6);
}

void vcpu_save_drs(struct Vcpu *v)
{
    if (!debug_owns_drs(v))
        keep(v);
    gdb_debug_registers();
}

void vcpu_use_drs(struct Vcpu *v)
{
    if (!v->dr_live) {
        v->dr_live = v->has_extras = true;
        vcpu_load_drs(v);
    }
    backend->set_dr_exits(v, false);
}

void vcpu_clear_general_detect(struct Vcpu *v)
{
    if (debug_owns_drs(v))
        v->debug->guest_dr7 &= ~DR7_GD;
    else
        backend->set(v, VREG_DR7, backend->get(v, VREG_DR7) & ~DR7_GD);
}

/* The exit has left DR6 as it was (SDM "Architectural State Before a VM Exit"). */
static void set_debug_status(struct Vcpu *v, uint64_t causes)
{
    vcpu_clear_general_detect(v);
    if (debug_owns_drs(v)) {
        debug_set_status(v, causes);
        return;
    }
    vcpu_use_drs(v);
    uint64_t old = backend->get(v, VREG_DR6) | DR6_INIT;
    backend->set(v, VREG_DR6, (old & ~DR6_BREAKPOINTS) | causes);
}

void vcpu_unblock(struct Vcpu *v)
{
    uint64_t block = backend->get(v, VREG_BLOCKING);
    backend->set(v, VREG_BLOCKING, block & ~(uint64_t)(VBLOCK_STI | VBLOCK_MOV_SS));
}

void vcpu_debug_trap(struct Vcpu *v, uint64_t causes)
{
    set_debug_status(v, causes);
    if (causes & DR6_BD) /* general detect is a fault */
        backend->set(v, VREG_RFLAGS, backend->get(v, VREG_RFLAGS) | FL_RF);
    vcpu_unblock(v);
    event_exception(v, T_DEBUG, 0, true);
}
