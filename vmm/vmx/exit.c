/*
 * The exit path: one table of handlers by exit reason, and the handlers that are too short for a
 * file of their own. A reason without a handler ends the guest with the reason's name.
 */
#include <kern/trap.h>
#include <vmm/check.h>
#include <vmm/debug/debug.h>
#include <vmm/halt.h>
#include <vmm/trace.h>
#include <vmm/vmx/exit.h>
#include <vmm/vmx/exit_cpuid.h>
#include <vmm/vmx/exit_cr.h>
#include <vmm/vmx/exit_ept.h>
#include <vmm/vmx/exit_exception.h>
#include <vmm/vmx/exit_io.h>
#include <vmm/vmx/exit_msr.h>
#include <vmm/vmx/exit_vmcall.h>
#include <vmm/vmx/inject.h>
#include <vmm/vmx/mtf.h>
#include <vmm/kill.h>
#include <vmm/vmx/run.h>

static bool handle_extint(struct Vcpu *v)
{
    uint32_t info = vmread(VMCS_EXIT_INTR_INFO);
    look_around_soon(v); /* the handler may have made somebody runnable */
    return irq_dispatch(info & EVENT_VECTOR) ? vmx_leave(v) : vmx_resume(v);
}

static bool handle_triple_fault(struct Vcpu *v)
{
    guest_kill(v, "triple fault at rip 0x%lx, rsp 0x%lx, cr2 0x%lx, cr3 0x%lx",
               vmread(VMCS_GUEST_RIP), vmread(VMCS_GUEST_RSP), rcr2(), vmread(VMCS_GUEST_CR3));
    return vmx_leave(v);
}

static bool handle_intr_window(struct Vcpu *v)
{
    vcpu_attn(v, ATTN_IRQ);
    return vmx_resume(v);
}

static bool handle_nmi_window(struct Vcpu *v)
{
    vcpu_attn(v, ATTN_NMI);
    return vmx_resume(v);
}

static bool handle_task_switch(struct Vcpu *v)
{
    guest_kill(v, "task switch to selector 0x%lx at rip 0x%lx: hardware tasks are not supported",
               vmread(VMCS_EXIT_QUALIFICATION) & 0xffff, vmread(VMCS_GUEST_RIP));
    return vmx_leave(v);
}

/* NMIs and machine checks are the host's: its handlers run as if the event had come here, and IRET
 * unblocks the next NMI. What else comes is selected by the exception bitmap. */
static bool handle_exception_or_nmi(struct Vcpu *v)
{
    uint32_t info = vmread_known(VMCS_EXIT_INTR_INFO);
    if ((info & EVENT_TYPE) == EVENT_NMI)
        asm volatile("int %0" : : "i"(T_NMI) : "memory");
    else if ((info & EVENT_VECTOR) == T_MCHK)
        asm volatile("int %0" : : "i"(T_MCHK) : "memory");
    else
        return handle_exception(v, info);
    keep_vectored_event(v);
    return vmx_resume(v);
}

/* HLT ends blocking by STI, so the guest goes on at once if its APIC has something deliverable. */
static bool handle_hlt(struct Vcpu *v)
{
    skip_instruction();
    if (debug_steps(v) || (vmread(VMCS_GUEST_PENDING_DBG) & PENDING_DBG_BS))
        return vmx_resume(v); /* a debug exception ends HLT, and single-stepping raises one now */
    v->halted = true;
    return vcpu_halt_is_over(v) ? vmx_resume(v) : vmx_leave(v);
}

/* Memory is write-back and nothing else writes to it, so there is nothing to write back. */
static bool handle_cache_flush(struct Vcpu *v)
{
    return vmx_skip(v);
}

/* The run loop's deadline has come, give or take the timer's grain. */
static bool handle_preempt_timer(struct Vcpu *v)
{
    look_around_soon(v);
    return vmx_resume(v);
}

static bool handle_entry_state(struct Vcpu *v)
{
    vmcs_dump_guest();
    guest_kill(
        v,
        "VM entry refused: invalid guest state (rip 0x%lx, cr0 0x%lx, cr4 0x%lx, efer 0x%lx, "
        "qualification %lu)",
        vmread(VMCS_GUEST_RIP), vmread(VMCS_GUEST_CR0), vmread(VMCS_GUEST_CR4),
        vmread(VMCS_GUEST_EFER), vmread(VMCS_EXIT_QUALIFICATION));
    check_failed_entry(v);
    return vmx_leave(v);
}

static bool handle_entry_msr(struct Vcpu *v)
{
    guest_kill(v, "VM entry refused: entry %lu of the MSR area cannot be loaded",
               vmread(VMCS_EXIT_QUALIFICATION));
    check_failed_entry(v);
    return vmx_leave(v);
}

/* SDM "Machine-Check Events During VM Entry": the event is the host's, but no exception has been
 * delivered for it. If the host's handler returns, the guest's state cannot be relied on. */
static bool handle_entry_mce(struct Vcpu *v)
{
    asm volatile("int %0" : : "i"(T_MCHK) : "memory");
    guest_kill(v, "VM entry refused: machine check");
    return vmx_leave(v);
}

static const char *const words[VMX_NREASONS] = {
#define WORDS(nr, name, reason, text) [nr] = text,
    VMX_EXIT_LIST(WORDS)
#undef WORDS
};

/* enum GuestExitReason of Intel's reasons */
static const uint8_t known[VMX_NREASONS] = {
#define KNOWN(nr, name, reason, text) [nr] = EXIT_##reason,
    VMX_EXIT_LIST(KNOWN)
#undef KNOWN
};

const char *vmx_reason_words(uint32_t reason)
{
    return reason < VMX_NREASONS && words[reason] ? words[reason] : "unknown reason";
}

static bool handle_unexpected(struct Vcpu *v)
{
    uint32_t reason = vmread(VMCS_EXIT_REASON) & EXIT_REASON_BASIC;
    guest_kill(v, "unexpected VM exit %u (%s) at rip 0x%lx, qualification 0x%lx", reason,
               vmx_reason_words(reason), vmread(VMCS_GUEST_RIP), vmread(VMCS_EXIT_QUALIFICATION));
    return vmx_leave(v);
}

static bool (*const handlers[VMX_NREASONS])(struct Vcpu *v) = {
    /* Numbers that the manual gives no meaning: */
    [35] = handle_unexpected,
    [38] = handle_unexpected,
    [42] = handle_unexpected,
    [65] = handle_unexpected,
    [EXIT_REASON_EXCEPTION] = handle_exception_or_nmi,
    [EXIT_REASON_EXTINT] = handle_extint,
    [EXIT_REASON_TRIPLE_FAULT] = handle_triple_fault,
    [EXIT_REASON_INIT] = handle_unexpected,
    [EXIT_REASON_SIPI] = handle_unexpected,
    [EXIT_REASON_IO_SMI] = handle_unexpected,
    [EXIT_REASON_SMI] = handle_unexpected,
    [EXIT_REASON_INTR_WINDOW] = handle_intr_window,
    [EXIT_REASON_NMI_WINDOW] = handle_nmi_window,
    [EXIT_REASON_TASK_SWITCH] = handle_task_switch,
    [EXIT_REASON_CPUID] = handle_cpuid,
    [EXIT_REASON_GETSEC] = vmx_ud,
    [EXIT_REASON_HLT] = handle_hlt,
    [EXIT_REASON_INVD] = handle_cache_flush,
    [EXIT_REASON_INVLPG] = handle_unexpected,
    [EXIT_REASON_RDPMC] = vmx_gp,
    [EXIT_REASON_RDTSC] = handle_unexpected,
    [EXIT_REASON_RSM] = vmx_ud,
    [EXIT_REASON_VMCALL] = handle_vmcall,
    [EXIT_REASON_VMCLEAR] = vmx_ud,
    [EXIT_REASON_VMLAUNCH] = vmx_ud,
    [EXIT_REASON_VMPTRLD] = vmx_ud,
    [EXIT_REASON_VMPTRST] = vmx_ud,
    [EXIT_REASON_VMREAD] = vmx_ud,
    [EXIT_REASON_VMRESUME] = vmx_ud,
    [EXIT_REASON_VMWRITE] = vmx_ud,
    [EXIT_REASON_VMXOFF] = vmx_ud,
    [EXIT_REASON_VMXON] = vmx_ud,
    [EXIT_REASON_CR_ACCESS] = handle_craccess,
    [EXIT_REASON_MOV_DR] = handle_movdr,
    [EXIT_REASON_IO] = handle_ioinstr,
    [EXIT_REASON_RDMSR] = handle_rdmsr,
    [EXIT_REASON_WRMSR] = handle_wrmsr,
    [EXIT_REASON_ENTRY_STATE] = handle_entry_state,
    [EXIT_REASON_ENTRY_MSR] = handle_entry_msr,
    [EXIT_REASON_MWAIT] = vmx_ud,
    [EXIT_REASON_MTF] = handle_mtf,
    [EXIT_REASON_MONITOR] = vmx_ud,
    [EXIT_REASON_PAUSE] = handle_unexpected,
    [EXIT_REASON_ENTRY_MCE] = handle_entry_mce,
    [EXIT_REASON_TPR_BELOW] = handle_unexpected,
    [EXIT_REASON_APIC_ACCESS] = handle_unexpected,
    [EXIT_REASON_EOI_INDUCED] = handle_unexpected,
    [EXIT_REASON_GDTR_IDTR] = handle_unexpected,
    [EXIT_REASON_LDTR_TR] = handle_unexpected,
    [EXIT_REASON_EPT_VIOLATION] = handle_eptviolation,
    [EXIT_REASON_EPT_MISCONFIG] = handle_eptmisconfig,
    [EXIT_REASON_INVEPT] = vmx_ud,
    [EXIT_REASON_RDTSCP] = vmx_ud,
    [EXIT_REASON_PREEMPT_TIMER] = handle_preempt_timer,
    [EXIT_REASON_INVVPID] = vmx_ud,
    [EXIT_REASON_WBINVD] = handle_cache_flush,
    [EXIT_REASON_XSETBV] = handle_xsetbv,
    [EXIT_REASON_APIC_WRITE] = handle_unexpected,
    [EXIT_REASON_RDRAND] = vmx_ud,
    [EXIT_REASON_INVPCID] = vmx_ud,
    [EXIT_REASON_VMFUNC] = vmx_ud,
    [EXIT_REASON_ENCLS] = vmx_ud,
    [EXIT_REASON_RDSEED] = vmx_ud,
    [EXIT_REASON_PML_FULL] = handle_unexpected,
    [EXIT_REASON_XSAVES] = vmx_ud,
    [EXIT_REASON_XRSTORS] = vmx_ud,
    [EXIT_REASON_SPP] = handle_unexpected,
    [EXIT_REASON_UMWAIT] = vmx_ud,
    [EXIT_REASON_TPAUSE] = vmx_ud,
    [EXIT_REASON_LOADIWKEY] = vmx_ud,
};

/* LAB 5 cut */
/* The way of exits that are traced, or that no table knows. */
static bool __attribute__((noinline, cold)) vmexit_rare(struct Vcpu *v, uint64_t reason)
{
    bool is_known = reason < VMX_NREASONS;
    count_exit(v, is_known ? known[reason] : EXIT_OTHER);
    trace_exit(v);
    bool again = is_known ? handlers[reason](v) : handle_unexpected(v);
    trace_action(v, again);
    return again;
}
/* LAB 5 end */

/* The handler is called last, as each of them calls its end, so that all of them return to
 * asm_vmrun at once. */
bool vmexit(struct Vcpu *v)
{
    /* LAB 5 begin: vmexit */
    uint64_t reason = (uint16_t)vmread_known(VMCS_EXIT_REASON); /* the basic reason */
    if (__builtin_expect(reason >= v->quick_reasons, 0))
        return vmexit_rare(v, reason);
    count_exit(v, known[reason]);
    return handlers[reason](v);
    /* LAB 5 end */
}
