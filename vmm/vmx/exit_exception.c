/*
 * Intercepted exceptions: #DB and #AC, which are passed on, and page faults if the monitor asked
 * for them, which are verified by a walk of the guest's own page tables before they are injected.
 */
#include <vmm/debug/debug.h>
#include <vmm/internal.h>

/* The CPU has not yet updated DR6 and DR7 (SDM "Architectural State Before a VM Exit"). Every debug
 * exception clears GD; */
static void clear_general_detect(struct Guest *g)
{
    if (debug_owns_drs(g))
        g->debug->guest_dr7 &= ~DR7_GD;
    else
        vmwrite(VMCS_GUEST_DR7, vmread(VMCS_GUEST_DR7) & ~DR7_GD);
}

/* all but INT1's show their causes. */
static void set_debug_status(struct Guest *g, uint64_t causes)
{
    clear_general_detect(g);
    if (debug_owns_drs(g)) {
        debug_set_status(g, causes);
        return;
    }
    use_debug_registers(g);
    ldr6(((rdr6() | DR6_INIT) & ~DR6_BREAKPOINTS) | causes);
}

/* An entry with TF and a blocking by STI needs a pending single step, but this one is here. */
static void unblock(void)
{
    uint32_t block = vmread(VMCS_GUEST_INTERRUPTIBILITY);
    vmwrite(VMCS_GUEST_INTERRUPTIBILITY, block & ~(BLOCK_STI | BLOCK_MOV_SS));
}

void inject_debug_trap(struct Guest *g, uint64_t causes)
{
    set_debug_status(g, causes);
    if (causes & DR6_BD) /* general detect is a fault */
        set_resume_flag();
    unblock();
    inject_exception(g, T_DEBUG, 0);
}

static void pass_debug(struct Guest *g, uint32_t info)
{
    if ((info & INTR_TYPE) != INTR_TYPE_PRIVEXC) {
        inject_debug_trap(g, vmread(VMCS_EXIT_QUALIFICATION) & DR6_CAUSES);
        return;
    }
    clear_general_detect(g); /* INT1: a trap, which needs its length */
    unblock();
    g->event = (struct InjectEvent){ .info = info & INTR_REINJECT_MASK,
                                     .length = vmread(VMCS_EXIT_INSTR_LENGTH) };
    guest_attn(g, ATTN_EVENT);
}

/* LAB C cut */
/* A fault that the tables in memory do not explain came from a stale translation: drop that and let
 * the guest try again. When it comes again at once, it is the guest's to judge. */
static bool is_spurious(struct Guest *g, uint64_t va, uint32_t error)
{
    gpa_t gpa;
    if (guest_walk(g, va, error & (FEC_WR | FEC_U | FEC_ID), &gpa) != WALK_OK)
        return false;
    uint64_t rip = vmread_known(VMCS_GUEST_RIP);
    if (g->spurious_rip == rip && g->spurious_va == va)
        return false;
    g->spurious_rip = rip;
    g->spurious_va = va;
    if (vmread(VMCS_EXIT_INTR_INFO) & INTR_NMI_UNBLOCKED)
        block_nmis_again(g);
    return true;
}
/* LAB C end */

static inline void pass_pagefault(struct Guest *g)
{
    /* LAB C begin: pass_pagefault */
    uint64_t va = vmread_known(VMCS_EXIT_QUALIFICATION);
    uint32_t error = vmread_known(VMCS_EXIT_INTR_ERROR);
    if (is_spurious(g, va, error)) {
        g->stats.refused_pf++;
        guest_attn(g, ATTN_TLB_FLUSH);
        return;
    }
    g->spurious_rip = g->spurious_va = 0;
    g->stats.injected_pf++;
    lcr2(va);
    inject_fault(g, T_PGFLT, error);
    /* LAB C end */
}

void pass_exception(struct Guest *g, uint32_t info)
{
    int vector = info & INTR_VECTOR;
    if (vector == T_PGFLT)
        pass_pagefault(g);
    else if (vector == T_DEBUG)
        pass_debug(g, info);
    else
        inject_fault(g, vector, info & INTR_ERROR_VALID ? vmread(VMCS_EXIT_INTR_ERROR) : 0);
}

bool handle_exception(struct Guest *g, uint32_t info)
{
    keep_vectored_event(g);
    if (g->debug != NULL)
        return debug_exception(g, info);
    if ((info & INTR_VECTOR) == T_PGFLT) /* the frequent one, without a detour */
        pass_pagefault(g);
    else
        pass_exception(g, info);
    return resume(g);
}
