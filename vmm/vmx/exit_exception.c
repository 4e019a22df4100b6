/*
 * Intercepted exceptions: #DB and #AC, which are passed on, and page faults if the monitor asked
 * for them, which are verified by a walk of the guest's own page tables before they are injected.
 */
#include <inc/trap.h>
#include <vmm/debug/debug.h>
#include <vmm/debug/dr.h>
#include <vmm/debug/drs.h>
#include <vmm/vmx/exit_exception.h>
#include <vmm/vmx/inject.h>
#include <vmm/vmx/run.h>
#include <vmm/gwalk.h>
#include <vmm/vmx/state.h>

static void pass_debug(struct Vcpu *v, const struct VcpuException *x)
{
    if ((x->info & EVENT_TYPE) != EVENT_PRIV_EXC) {
        vcpu_debug_trap(v, x->address);
        return;
    }
    vcpu_clear_general_detect(v); /* INT1: a trap, which needs its length */
    vcpu_unblock(v);
    v->event = (struct Event){ .info = x->info, .length = x->length };
    vcpu_attn(v, ATTN_EVENT);
}

/* LAB C cut */
/* A fault that the tables in memory do not explain came from a stale translation: drop that and let
 * the guest try again. When it comes again at once, it is the guest's to judge. */
static bool is_spurious(struct Vcpu *v, uint64_t va, uint32_t error)
{
    gpa_t gpa;
    struct PagingMode m;
    vmx_read_mode(&m);
    if (guest_walk(v, &m, va, error & (FEC_WR | FEC_U | FEC_ID), &gpa) != WALK_OK)
        return false;
    uint64_t rip = vmread_known(VMCS_GUEST_RIP);
    if (v->spurious_rip == rip && v->spurious_va == va)
        return false;
    v->spurious_rip = rip;
    v->spurious_va = va;
    if (vmread(VMCS_EXIT_INTR_INFO) & EVENT_NMI_UNBLOCKED)
        block_nmis_again(v);
    return true;
}
/* LAB C end */

static inline void pass_pagefault(struct Vcpu *v)
{
    /* LAB C begin: pass_pagefault */
    uint64_t va = vmread_known(VMCS_EXIT_QUALIFICATION);
    uint32_t error = vmread_known(VMCS_EXIT_INTR_ERROR);
    if (is_spurious(v, va, error)) {
        v->stats.refused_pf++;
        vcpu_attn(v, ATTN_TLB_FLUSH);
        return;
    }
    v->spurious_rip = v->spurious_va = 0;
    v->stats.injected_pf++;
    inject_page_fault(v, va, error);
    /* LAB C end */
}

void vmx_pass_exception(struct Vcpu *v, const struct VcpuException *x)
{
    if (x->vector == T_PGFLT)
        pass_pagefault(v);
    else if (x->vector == T_DEBUG)
        pass_debug(v, x);
    else
        inject_fault(v, x->vector, x->error);
}

/* What the VMCS says of the exception. */
static struct VcpuException decode_exception(uint32_t info)
{
    struct VcpuException x = { .vector = info & EVENT_VECTOR, .info = info & INTR_REINJECT_MASK };
    uint32_t type = info & EVENT_TYPE;
    if (info & EVENT_ERROR_VALID)
        x.error = vmread(VMCS_EXIT_INTR_ERROR);
    if (type == EVENT_SOFT_EXC || type == EVENT_PRIV_EXC)
        x.length = vmread(VMCS_EXIT_INSTR_LENGTH);
    if (x.vector == T_PGFLT)
        x.address = vmread(VMCS_EXIT_QUALIFICATION);
    else if (x.vector == T_DEBUG)
        x.address = vmread(VMCS_EXIT_QUALIFICATION) & DR6_CAUSES;
    return x;
}

bool handle_exception(struct Vcpu *v, uint32_t info)
{
    keep_vectored_event(v);
    if (!v->debug && (info & EVENT_VECTOR) == T_PGFLT) { /* the frequent one, without a detour */
        pass_pagefault(v);
        return vmx_resume(v);
    }
    struct VcpuException x = decode_exception(info);
    if (v->debug)
        return vmx_end(v, debug_exception(v, &x));
    vmx_pass_exception(v, &x);
    return vmx_resume(v);
}
