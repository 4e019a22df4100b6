/*
 * A guest that has executed HLT sleeps like an env that waits, until an interrupt of its virtual
 * APIC comes that it can take, an NMI, or its debugger.
 */
#include <kern/sched.h>
#include <vmm/backend.h>
#include <vmm/halt.h>
#include <vmm/vapic.h>
#include <vmm/vcpu.h>

/* An NMI that waits can come in. */
static bool has_nmi(const struct Vcpu *v)
{
    return READ_ONCE(v->nmi) && !(backend->get(v, VREG_BLOCKING) & VBLOCK_NMI);
}

bool vcpu_halt_is_over(struct Vcpu *v)
{
    bool open = backend->interrupts_open(v);
    vapic_timer_check(v, read_tsc());
    env_lock(v->env); /* sys_guest_irq raises first, then looks for WAIT_HLT */
    bool over = (open && vapic_deliverable(&v->vapic) >= 0) || has_nmi(v);
    if (!over && !(READ_ONCE(v->attn) & ATTN_DEBUG)) /* its debugger asked while it had the CPU */
        sched_block(WAIT_HLT, open ? v->vapic.timer_due : 0);
    env_unlock(v->env);
    if (over) {
        v->halted = false;
        vcpu_attn(v, ATTN_IRQ);
    }
    return over;
}

bool vcpu_is_awake(struct Vcpu *v)
{
    return !v->halted || (v->attn & ATTN_DEBUG) || vcpu_halt_is_over(v);
}
