/*
 * The exit path: one table of handlers by exit reason, and the handlers that are too short for a
 * file of their own. A reason without a handler ends the guest with the reason's name.
 */
#include <vmm/vmx/check/check.h>
#include <vmm/debug/debug.h>
#include <vmm/internal.h>
#include <kern/trap.h>

static bool handle_extint(struct Guest *g)
{
    uint32_t info = vmread(VMCS_EXIT_INTR_INFO);
    look_around_soon(g); /* the handler may have made somebody runnable */
    return irq_dispatch(info & INTR_VECTOR) ? leave(g) : resume(g);
}

static bool handle_triple_fault(struct Guest *g)
{
    guest_kill(g, "triple fault at rip 0x%lx, rsp 0x%lx, cr2 0x%lx, cr3 0x%lx",
               vmread(VMCS_GUEST_RIP), vmread(VMCS_GUEST_RSP), rcr2(), vmread(VMCS_GUEST_CR3));
    return leave(g);
}

static bool handle_intr_window(struct Guest *g)
{
    guest_attn(g, ATTN_IRQ);
    return resume(g);
}

static bool handle_nmi_window(struct Guest *g)
{
    guest_attn(g, ATTN_NMI);
    return resume(g);
}

static bool handle_task_switch(struct Guest *g)
{
    guest_kill(g, "task switch to selector 0x%lx at rip 0x%lx: hardware tasks are not supported",
               vmread(VMCS_EXIT_QUALIFICATION) & 0xffff, vmread(VMCS_GUEST_RIP));
    return leave(g);
}

/* NMIs and machine checks are the host's: its handlers run as if the event had come here, and IRET
 * unblocks the next NMI. What else comes is selected by the exception bitmap. */
static bool handle_exception_or_nmi(struct Guest *g)
{
    uint32_t info = vmread_known(VMCS_EXIT_INTR_INFO);
    if ((info & INTR_TYPE) == INTR_TYPE_NMI)
        asm volatile("int %0" : : "i"(T_NMI) : "memory");
    else if ((info & INTR_VECTOR) == T_MCHK)
        asm volatile("int %0" : : "i"(T_MCHK) : "memory");
    else
        return handle_exception(g, info);
    keep_vectored_event(g);
    return resume(g);
}

/* HLT ends blocking by STI, so the guest goes on at once if its APIC has something deliverable. */
static bool handle_hlt(struct Guest *g)
{
    skip_instruction();
    if (debug_steps(g) || (vmread(VMCS_GUEST_PENDING_DBG) & PENDING_DBG_BS))
        return resume(g); /* a debug exception ends HLT, and single-stepping raises one now */
    g->halted = true;
    return halt_is_over(g) ? resume(g) : leave(g);
}

/* Memory is write-back and nothing else writes to it, so there is nothing to write back. */
static bool handle_cache_flush(struct Guest *g)
{
    return skip(g);
}

/* The run loop's deadline has come, give or take the timer's grain. */
static bool handle_preempt_timer(struct Guest *g)
{
    look_around_soon(g);
    return resume(g);
}

static bool handle_entry_state(struct Guest *g)
{
    vmcs_dump_guest();
    guest_kill(
        g,
        "VM entry refused: invalid guest state (rip 0x%lx, cr0 0x%lx, cr4 0x%lx, efer 0x%lx, "
        "qualification %lu)",
        vmread(VMCS_GUEST_RIP), vmread(VMCS_GUEST_CR0), vmread(VMCS_GUEST_CR4),
        vmread(VMCS_GUEST_EFER), vmread(VMCS_EXIT_QUALIFICATION));
    check_failed_entry(g);
    return leave(g);
}

static bool handle_entry_msr(struct Guest *g)
{
    guest_kill(g, "VM entry refused: entry %lu of the MSR area cannot be loaded",
               vmread(VMCS_EXIT_QUALIFICATION));
    check_failed_entry(g);
    return leave(g);
}

/* SDM "Machine-Check Events During VM Entry": the event is the host's, but no exception has been
 * delivered for it. If the host's handler returns, the guest's state cannot be relied on. */
static bool handle_entry_mce(struct Guest *g)
{
    asm volatile("int %0" : : "i"(T_MCHK) : "memory");
    guest_kill(g, "VM entry refused: machine check");
    return leave(g);
}

static const char *const reason_words[GUEST_NREASONS] = {
#define WORDS_ENTRY(nr, name, words) [nr] = words,
    VMX_EXIT_LIST(WORDS_ENTRY)
#undef WORDS_ENTRY
};

static bool handle_unexpected(struct Guest *g)
{
    uint32_t reason = vmread(VMCS_EXIT_REASON) & EXIT_REASON_BASIC;
    const char *words = reason < GUEST_NREASONS ? reason_words[reason] : NULL;
    if (reason >= GUEST_NREASONS)
        g->clock_reason = GUEST_NREASONS;
    guest_kill(g, "unexpected VM exit %u (%s) at rip 0x%lx, qualification 0x%lx", reason,
               words != NULL ? words : "unknown reason", vmread(VMCS_GUEST_RIP),
               vmread(VMCS_EXIT_QUALIFICATION));
    return leave(g);
}

/* Handlers by the names of inc/vmexits.h. */
#define HANDLER_EXCEPTION     handle_exception_or_nmi
#define HANDLER_EXTINT        handle_extint
#define HANDLER_TRIPLE_FAULT  handle_triple_fault
#define HANDLER_INIT          handle_unexpected
#define HANDLER_SIPI          handle_unexpected
#define HANDLER_IO_SMI        handle_unexpected
#define HANDLER_SMI           handle_unexpected
#define HANDLER_INTR_WINDOW   handle_intr_window
#define HANDLER_NMI_WINDOW    handle_nmi_window
#define HANDLER_TASK_SWITCH   handle_task_switch
#define HANDLER_CPUID         handle_cpuid
#define HANDLER_GETSEC        inject_ud
#define HANDLER_HLT           handle_hlt
#define HANDLER_INVD          handle_cache_flush
#define HANDLER_INVLPG        handle_unexpected
#define HANDLER_RDPMC         inject_gp
#define HANDLER_RDTSC         handle_unexpected
#define HANDLER_RSM           inject_ud
#define HANDLER_VMCALL        handle_vmcall
#define HANDLER_VMCLEAR       inject_ud
#define HANDLER_VMLAUNCH      inject_ud
#define HANDLER_VMPTRLD       inject_ud
#define HANDLER_VMPTRST       inject_ud
#define HANDLER_VMREAD        inject_ud
#define HANDLER_VMRESUME      inject_ud
#define HANDLER_VMWRITE       inject_ud
#define HANDLER_VMXOFF        inject_ud
#define HANDLER_VMXON         inject_ud
#define HANDLER_CR_ACCESS     handle_craccess
#define HANDLER_MOV_DR        handle_movdr
#define HANDLER_IO            handle_ioinstr
#define HANDLER_RDMSR         handle_rdmsr
#define HANDLER_WRMSR         handle_wrmsr
#define HANDLER_ENTRY_STATE   handle_entry_state
#define HANDLER_ENTRY_MSR     handle_entry_msr
#define HANDLER_MWAIT         inject_ud
#define HANDLER_MTF           handle_mtf
#define HANDLER_MONITOR       inject_ud
#define HANDLER_PAUSE         handle_unexpected
#define HANDLER_ENTRY_MCE     handle_entry_mce
#define HANDLER_TPR_BELOW     handle_unexpected
#define HANDLER_APIC_ACCESS   handle_unexpected
#define HANDLER_EOI_INDUCED   handle_unexpected
#define HANDLER_GDTR_IDTR     handle_unexpected
#define HANDLER_LDTR_TR       handle_unexpected
#define HANDLER_EPT_VIOLATION handle_eptviolation
#define HANDLER_EPT_MISCONFIG handle_eptmisconfig
#define HANDLER_INVEPT        inject_ud
#define HANDLER_RDTSCP        inject_ud
#define HANDLER_PREEMPT_TIMER handle_preempt_timer
#define HANDLER_INVVPID       inject_ud
#define HANDLER_WBINVD        handle_cache_flush
#define HANDLER_XSETBV        inject_gp
#define HANDLER_APIC_WRITE    handle_unexpected
#define HANDLER_RDRAND        handle_unexpected
#define HANDLER_INVPCID       inject_ud
#define HANDLER_VMFUNC        inject_ud
#define HANDLER_ENCLS         inject_ud
#define HANDLER_RDSEED        handle_unexpected
#define HANDLER_PML_FULL      handle_unexpected
#define HANDLER_XSAVES        inject_ud
#define HANDLER_XRSTORS       inject_ud
#define HANDLER_SPP           handle_unexpected
#define HANDLER_UMWAIT        inject_ud
#define HANDLER_TPAUSE        inject_ud
#define HANDLER_LOADIWKEY     inject_ud

static bool (*const handlers[GUEST_NREASONS])(struct Guest *g) = {
    /* Numbers that the manual gives no meaning: */
    [35] = handle_unexpected,
    [38] = handle_unexpected,
    [42] = handle_unexpected,
    [65] = handle_unexpected,
#define HANDLER_ENTRY(nr, name, words) [nr] = HANDLER_##name,
    VMX_EXIT_LIST(HANDLER_ENTRY)
#undef HANDLER_ENTRY
};

/* LAB 5 cut */
/* The way of exits that are traced, or that no table knows. */
static bool __attribute__((noinline, cold)) vmexit_rare(struct Guest *g, uint64_t reason)
{
    if (reason >= GUEST_NREASONS)
        return handle_unexpected(g);
    count_exit(g, reason);
    trace_exit(g, reason);
    bool again = handlers[reason](g);
    trace_action(g, again);
    return again;
}
/* LAB 5 end */

/* The handler is called last, as each of them calls its end, so that all of them return to
 * asm_vmrun at once. */
bool vmexit(struct Guest *g)
{
    /* LAB 5 begin: vmexit */
    uint64_t reason = (uint16_t)vmread_known(VMCS_EXIT_REASON); /* the basic reason */
    if (__builtin_expect(reason >= g->first_rare_reason, 0))
        return vmexit_rare(g, reason);
    count_exit(g, reason);
    return handlers[reason](g);
    /* LAB 5 end */
}
