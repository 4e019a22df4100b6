/*
 * Intercepted exceptions: #DB and #AC, which are passed on, and page faults if the monitor asked
 * for them, which are verified by a walk of the guest's own page tables before they are injected.
 */
#include <vmm/internal.h>

#define DR6_INIT   0xffff0ff0ul
#define DR6_CAUSES 0x600ful /* B0-B3, BD, BS: exit qualification of #DB */
#define DR7_GD     (1ul << 13)

/* The CPU has not yet updated DR6 and DR7 (SDM "Architectural State Before a VM Exit"). */
static bool handle_debug(struct Guest *g, uint32_t info)
{
    uint64_t causes = vmread(VMCS_EXIT_QUALIFICATION) & (DR6_CAUSES | 1ul << 15);
    if (!g->dr_live)
        handle_movdr(g);
    ldr6(((rdr6() | DR6_INIT) & ~0xful) | causes);
    /* An entry with TF and a blocking by STI needs a pending single step, but this one is here. */
    uint32_t block = vmread(VMCS_GUEST_INTERRUPTIBILITY);
    vmwrite(VMCS_GUEST_INTERRUPTIBILITY, block & ~(BLOCK_STI | BLOCK_MOV_SS));
    vmwrite(VMCS_GUEST_DR7, vmread(VMCS_GUEST_DR7) & ~DR7_GD);
    if ((info & INTR_TYPE) == INTR_TYPE_PRIVEXC) { /* INT1: a trap, which needs its length */
        g->event = (struct InjectEvent){ .info = info & INTR_REINJECT_MASK,
                                         .length = vmread(VMCS_EXIT_INSTR_LENGTH) };
        guest_attn(g, ATTN_EVENT);
        return resume(g);
    }
    inject_exception(g, T_DEBUG, 0);
    return resume(g);
}

/* A fault that the tables in memory do not explain came from a stale translation: drop that and let
 * the guest try again. When it comes again at once, it is the guest's to judge. */
static bool is_spurious(struct Guest *g, uint64_t va, uint32_t error)
{
    uint64_t rip = vmread(VMCS_GUEST_RIP);
    gpa_t gpa;
    if (guest_walk(g, va, error & (FEC_WR | FEC_U | FEC_ID), &gpa) != WALK_OK)
        return false;
    if (g->spurious_rip == rip && g->spurious_va == va)
        return false;
    g->spurious_rip = rip;
    g->spurious_va = va;
    return true;
}

static bool handle_pagefault(struct Guest *g)
{
    uint64_t va = vmread(VMCS_EXIT_QUALIFICATION);
    uint32_t error = vmread(VMCS_EXIT_INTR_ERROR);
    if (is_spurious(g, va, error)) {
        g->stats.refused_pf++;
        guest_attn(g, ATTN_TLB_FLUSH);
        return resume(g);
    }
    g->spurious_rip = g->spurious_va = 0;
    g->stats.injected_pf++;
    lcr2(va);
    inject_exception(g, T_PGFLT, error);
    return resume(g);
}

bool handle_exception(struct Guest *g, uint32_t info)
{
    int vector = info & INTR_VECTOR;
    keep_vectored_event(g);
    if (vector == T_PGFLT)
        return handle_pagefault(g);
    if (vector == T_DEBUG)
        return handle_debug(g, info);
    inject_exception(g, vector, info & INTR_ERROR_VALID ? vmread(VMCS_EXIT_INTR_ERROR) : 0);
    return resume(g);
}
