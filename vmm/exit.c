/*
 * The exit path: one table of handlers by exit reason, and the handlers that are too short for a
 * file of their own. A reason without a handler ends the guest with the reason's name.
 */
#include <vmm/internal.h>
#include <kern/trap.h>

static enum ExitAction handle_extint(struct Guest *g)
{
    uint32_t info = vmread(VMCS_EXIT_INTR_INFO);
    g->deadline = 0; /* the handler may have made somebody runnable */
    return irq_dispatch(info & INTR_VECTOR) ? ACT_RESCHED : ACT_RESUME;
}

static enum ExitAction handle_triple_fault(struct Guest *g)
{
    guest_kill(g, "triple fault at rip 0x%lx, rsp 0x%lx, cr2 0x%lx, cr3 0x%lx",
               vmread(VMCS_GUEST_RIP), vmread(VMCS_GUEST_RSP), rcr2(), vmread(VMCS_GUEST_CR3));
    return ACT_RESCHED;
}

static enum ExitAction handle_intr_window(struct Guest *g)
{
    guest_attn(g, ATTN_IRQ);
    return ACT_RESUME;
}

static enum ExitAction handle_task_switch(struct Guest *g)
{
    guest_kill(g, "task switch to selector 0x%lx at rip 0x%lx: hardware tasks are not supported",
               vmread(VMCS_EXIT_QUALIFICATION) & 0xffff, vmread(VMCS_GUEST_RIP));
    return ACT_RESCHED;
}

/* NMIs and machine checks are the host's: its handlers run as if the event had come here, and IRET
 * unblocks the next NMI. What else comes is selected by the exception bitmap. */
static enum ExitAction handle_exception_or_nmi(struct Guest *g)
{
    uint32_t info = vmread(VMCS_EXIT_INTR_INFO);
    if ((info & INTR_TYPE) == INTR_TYPE_NMI)
        asm volatile("int %0" : : "i"(T_NMI) : "memory");
    else if ((info & INTR_VECTOR) == T_MCHK)
        asm volatile("int %0" : : "i"(T_MCHK) : "memory");
    else
        return handle_exception(g, info);
    keep_vectored_event(g);
    return ACT_RESUME;
}

/* HLT ends blocking by STI, so the guest goes on at once if its APIC has something deliverable. */
static enum ExitAction handle_hlt(struct Guest *g)
{
    skip_instruction();
    g->halted = true;
    return halt_is_over(g) ? ACT_RESUME : ACT_RESCHED;
}

/* Memory is write-back and nothing else writes to it, so there is nothing to write back. */
static enum ExitAction handle_cache_flush(struct Guest *g)
{
    (void)g;
    return ACT_SKIP;
}

/* The run loop's deadline has come, give or take the timer's grain. */
static enum ExitAction handle_preempt_timer(struct Guest *g)
{
    g->deadline = MIN(g->deadline, read_tsc());
    return ACT_RESUME;
}

static enum ExitAction handle_entry_state(struct Guest *g)
{
    vmcs_dump_guest();
    guest_kill(
        g,
        "VM entry refused: invalid guest state (rip 0x%lx, cr0 0x%lx, cr4 0x%lx, efer 0x%lx, "
        "qualification %lu)",
        vmread(VMCS_GUEST_RIP), vmread(VMCS_GUEST_CR0), vmread(VMCS_GUEST_CR4),
        vmread(VMCS_GUEST_EFER), vmread(VMCS_EXIT_QUALIFICATION));
    return ACT_RESCHED;
}

static enum ExitAction handle_entry_msr(struct Guest *g)
{
    guest_kill(g, "VM entry refused: entry %lu of the MSR area cannot be loaded",
               vmread(VMCS_EXIT_QUALIFICATION));
    return ACT_RESCHED;
}

static const char *const reason_words[GUEST_NREASONS] = {
#define WORDS_ENTRY(nr, name, words) [nr] = words,
    VMX_EXIT_LIST(WORDS_ENTRY)
#undef WORDS_ENTRY
};

static enum ExitAction __attribute__((noinline, cold))
handle_unexpected(struct Guest *g, uint32_t reason)
{
    const char *words = reason < GUEST_NREASONS ? reason_words[reason] : NULL;
    g->clock_reason = GUEST_NREASONS;
    if (reason < GUEST_NREASONS)
        count_exit(g, reason);
    guest_kill(g, "unexpected VM exit %u (%s) at rip 0x%lx, qualification 0x%lx", reason,
               words != NULL ? words : "unknown reason", vmread(VMCS_GUEST_RIP),
               vmread(VMCS_EXIT_QUALIFICATION));
    return ACT_RESCHED;
}

/* Handlers by the names of inc/vmexits.h; NULL ends the guest. */
#define HANDLER_EXCEPTION     handle_exception_or_nmi
#define HANDLER_EXTINT        handle_extint
#define HANDLER_TRIPLE_FAULT  handle_triple_fault
#define HANDLER_INIT          NULL
#define HANDLER_SIPI          NULL
#define HANDLER_IO_SMI        NULL
#define HANDLER_SMI           NULL
#define HANDLER_INTR_WINDOW   handle_intr_window
#define HANDLER_NMI_WINDOW    NULL
#define HANDLER_TASK_SWITCH   handle_task_switch
#define HANDLER_CPUID         handle_cpuid
#define HANDLER_GETSEC        inject_ud
#define HANDLER_HLT           handle_hlt
#define HANDLER_INVD          handle_cache_flush
#define HANDLER_INVLPG        NULL
#define HANDLER_RDPMC         inject_gp
#define HANDLER_RDTSC         NULL
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
#define HANDLER_MTF           NULL
#define HANDLER_MONITOR       inject_ud
#define HANDLER_PAUSE         NULL
#define HANDLER_ENTRY_MCE     NULL
#define HANDLER_TPR_BELOW     NULL
#define HANDLER_APIC_ACCESS   NULL
#define HANDLER_EOI_INDUCED   NULL
#define HANDLER_GDTR_IDTR     NULL
#define HANDLER_LDTR_TR       NULL
#define HANDLER_EPT_VIOLATION handle_eptviolation
#define HANDLER_EPT_MISCONFIG handle_eptmisconfig
#define HANDLER_INVEPT        inject_ud
#define HANDLER_RDTSCP        inject_ud
#define HANDLER_PREEMPT_TIMER handle_preempt_timer
#define HANDLER_INVVPID       inject_ud
#define HANDLER_WBINVD        handle_cache_flush
#define HANDLER_XSETBV        inject_gp
#define HANDLER_APIC_WRITE    NULL
#define HANDLER_RDRAND        NULL
#define HANDLER_INVPCID       inject_ud
#define HANDLER_VMFUNC        inject_ud
#define HANDLER_ENCLS         inject_ud
#define HANDLER_RDSEED        NULL
#define HANDLER_PML_FULL      NULL
#define HANDLER_XSAVES        inject_ud
#define HANDLER_XRSTORS       inject_ud
#define HANDLER_SPP           NULL
#define HANDLER_UMWAIT        inject_ud
#define HANDLER_TPAUSE        inject_ud
#define HANDLER_LOADIWKEY     inject_ud

static enum ExitAction (*const handlers[GUEST_NREASONS])(struct Guest *g) = {
#define HANDLER_ENTRY(nr, name, words) [nr] = HANDLER_##name,
    VMX_EXIT_LIST(HANDLER_ENTRY)
#undef HANDLER_ENTRY
};

bool vmexit(struct Guest *g)
{
    uint64_t reason = vmread(VMCS_EXIT_REASON) & EXIT_REASON_BASIC;
    enum ExitAction act;
    if (__builtin_expect(reason < GUEST_NREASONS && handlers[reason] != NULL, 1)) {
        count_exit(g, reason);
        act = handlers[reason](g);
    } else {
        act = handle_unexpected(g, reason);
    }
    if (__builtin_expect(act & ACT_SKIP, 1))
        skip_instruction();
    return !(act & ACT_RESCHED) && ready_to_enter(g);
}
