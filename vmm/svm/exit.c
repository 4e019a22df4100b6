/*
 * The exit path: one table of handlers by exit code, and the handlers that are too short for a file
 * of their own. What no handler expects ends the guest with the exit's name.
 */
#include <inc/string.h>
#include <kern/cpu.h>
#include <kern/sched.h>
#include <kern/trap.h>
#include <vmm/check.h>
#include <vmm/debug/debug.h>
#include <vmm/halt.h>
#include <vmm/svm/asm_svmrun.h>
#include <vmm/svm/exit.h>
#include <vmm/svm/exit_cr.h>
#include <vmm/svm/exit_exception.h>
#include <vmm/svm/exit_io.h>
#include <vmm/svm/exit_msr.h>
#include <vmm/svm/exit_vmmcall.h>
#include <vmm/svm/exits.h>
#include <vmm/svm/inject.h>
#include <vmm/svm/run.h>
#include <vmm/svm/svm_vcpu.h>
#include <vmm/trace.h>
#include <vmm/kill.h>
#include <vmm/verdict.h>
#include <vmm/vm.h>

static const char *const exit_words[SVM_NEXITS] = {
#define EXIT_WORDS(first, last, name, reason, words) [first... last] = words,
    SVM_EXIT_LIST(EXIT_WORDS)
#undef EXIT_WORDS
};

static const uint8_t exit_reasons[SVM_NEXITS] = {
#define EXIT_REASONS(first, last, name, reason, words) [first... last] = EXIT_##reason,
    SVM_EXIT_LIST(EXIT_REASONS)
#undef EXIT_REASONS
};

enum GuestExitReason svm_exit_reason(const struct Vmcb *b)
{
    uint64_t code = b->exit_code;
    if (code == SVM_EXIT_NPF)
        return EXIT_MEMORY;
    if ((uint32_t)code == SVM_EXIT_INVALID)
        return EXIT_ENTRY_REFUSED;
    if (code >= SVM_NEXITS)
        return EXIT_OTHER;
    if (code == SVM_EXIT_MSR && (b->exit_info1 & MSR_INFO_WRITE))
        return EXIT_WRMSR;
    return exit_reasons[code];
}

/* ---- What is the host's ---- */

/* The interrupt still waits: the CPU's own handlers take it, and all others that are there. */
static bool handle_intr(struct SvmVcpu *s)
{
    struct Cpu *c = this_cpu();
    c->cpu_sched_wanted = false;
    asm volatile("sti; nop; cli" : : : "memory");
    svm_find_shadow(s);
    svm_keep_exit_event(s);
    look_around_soon(&s->v); /* a handler may have made somebody runnable */
    return c->cpu_sched_wanted ? svm_leave(s) : svm_resume(s);
}

/* It was taken at STGI. */
static bool handle_nmi(struct SvmVcpu *s)
{
    svm_find_shadow(s);
    svm_keep_exit_event(s);
    return svm_resume(s);
}

/* SMI and INIT wait until GIF is set, like NMI. */
static bool handle_signal(struct SvmVcpu *s)
{
    svm_keep_exit_event(s);
    return svm_resume(s);
}

/* ---- What is the guest's ---- */

static bool handle_vintr(struct SvmVcpu *s)
{
    svm_find_shadow(s);
    vcpu_attn(&s->v, ATTN_IRQ);
    return svm_resume(s);
}

static bool handle_iret(struct SvmVcpu *s)
{
    svm_nmi_iret(s);
    return svm_resume(s);
}

/* HLT ends an interrupt shadow, so the guest goes on at once if its APIC has something deliverable.
 * A debug exception ends HLT, and single-stepping raises one now. */
static bool handle_hlt(struct SvmVcpu *s)
{
    struct Vcpu *v = &s->v;
    svm_skip_instruction(v, 0);
    s->shadow_kept = false;
    if (debug_steps(v) || (v->attn & ATTN_TRAP))
        return svm_resume(s);
    v->halted = true;
    return vcpu_halt_is_over(v) ? svm_resume(s) : svm_leave(s);
}

/* Memory is write-back and nothing else writes to it, so there is nothing to write back. */
static bool handle_cache_flush(struct SvmVcpu *s)
{
    return svm_skip(s);
}

static bool handle_ud(struct SvmVcpu *s)
{
    return svm_finish(s, DO_UD);
}

static bool handle_gp(struct SvmVcpu *s)
{
    return svm_finish(s, DO_GP);
}

static bool handle_task_switch(struct SvmVcpu *s)
{
    guest_kill(&s->v, "task switch to selector 0x%x at rip 0x%lx: hardware tasks are not supported",
               (uint16_t)s->vmcb->exit_info1, s->vmcb->rip);
    return svm_leave(s);
}

/* The VMCB is void after it (APM 2 "Shutdown"): QEMU's and the manual's, whatever is in its fields.
 */
static bool handle_shutdown(struct SvmVcpu *s)
{
    const struct Vmcb *b = s->vmcb;
    guest_kill(&s->v, "triple fault at rip 0x%lx, rsp 0x%lx, cr2 0x%lx, cr3 0x%lx", b->rip, b->rsp,
               b->cr2, b->cr3);
    return svm_leave(s);
}

/* ---- What nobody expects ---- */

/* A VMRUN that the CPU has refused, or in QEMU, a guest's MOV of reserved bits to CR3. Where VMRUN
 * has read the guest's state already, most fields are the host's now. */
static bool handle_invalid(struct SvmVcpu *s)
{
    const struct Vmcb *b = s->vmcb;
    guest_kill(&s->v,
               "VM entry refused: invalid guest state (cr0 0x%lx, cr3 0x%lx, cr4 0x%lx, efer "
               "0x%lx)",
               b->cr0, b->cr3, b->cr4, b->efer);
    check_failed_entry(&s->v);
    return svm_leave(s);
}

static bool handle_unexpected(struct SvmVcpu *s)
{
    const struct Vmcb *b = s->vmcb;
    const char *words = b->exit_code < SVM_NEXITS ? exit_words[b->exit_code] : NULL;
    guest_kill(&s->v, "unexpected VM exit 0x%lx (%s) at rip 0x%lx, information 0x%lx, 0x%lx",
               b->exit_code, words ? words : "unknown reason", b->rip, b->exit_info1,
               b->exit_info2);
    return svm_leave(s);
}

/* Handlers by the names of exits.h. */
#define HANDLER_CR_READ           svm_handle_cr_read
#define HANDLER_CR_WRITE          svm_handle_cr_write
#define HANDLER_DR_READ           svm_handle_dr
#define HANDLER_DR_WRITE          svm_handle_dr
#define HANDLER_EXCP              svm_handle_exception
#define HANDLER_INTR              handle_intr
#define HANDLER_NMI               handle_nmi
#define HANDLER_SMI               handle_signal
#define HANDLER_INIT              handle_signal
#define HANDLER_VINTR             handle_vintr
#define HANDLER_CR0_SEL_WRITE     svm_handle_cr_write
#define HANDLER_TABLE_READ        handle_unexpected
#define HANDLER_TABLE_WRITE       handle_unexpected
#define HANDLER_RDTSC             handle_unexpected
#define HANDLER_RDPMC             handle_gp
#define HANDLER_PUSHF             handle_unexpected
#define HANDLER_POPF              handle_unexpected
#define HANDLER_CPUID             svm_handle_cpuid
#define HANDLER_RSM               handle_ud
#define HANDLER_IRET              handle_iret
#define HANDLER_SWINT             svm_handle_swint
#define HANDLER_INVD              handle_cache_flush
#define HANDLER_PAUSE             handle_unexpected
#define HANDLER_HLT               handle_hlt
#define HANDLER_INVLPG            handle_unexpected
#define HANDLER_INVLPGA           handle_ud
#define HANDLER_IOIO              svm_handle_io
#define HANDLER_MSR               svm_handle_msr
#define HANDLER_TASK_SWITCH       handle_task_switch
#define HANDLER_FERR_FREEZE       handle_unexpected
#define HANDLER_SHUTDOWN          handle_shutdown
#define HANDLER_VMRUN             handle_ud
#define HANDLER_VMMCALL           svm_handle_vmmcall
#define HANDLER_VMLOAD            handle_ud
#define HANDLER_VMSAVE            handle_ud
#define HANDLER_STGI              handle_ud
#define HANDLER_CLGI              handle_ud
#define HANDLER_SKINIT            handle_ud
#define HANDLER_RDTSCP            handle_ud
#define HANDLER_ICEBP             svm_handle_icebp
#define HANDLER_WBINVD            handle_cache_flush
#define HANDLER_MONITOR           handle_ud
#define HANDLER_MWAIT             handle_ud
#define HANDLER_MWAIT_CONDITIONAL handle_ud
#define HANDLER_XSETBV            svm_handle_xsetbv
#define HANDLER_RDPRU             handle_ud
#define HANDLER_EFER_WRITE_TRAP   handle_unexpected
#define HANDLER_CR_WRITE_TRAP     handle_unexpected
#define HANDLER_INVLPGB           handle_ud
#define HANDLER_INVLPGB_ILLEGAL   handle_ud
#define HANDLER_INVPCID           handle_ud
#define HANDLER_MCOMMIT           handle_ud
#define HANDLER_TLBSYNC           handle_ud

typedef bool ExitHandler(struct SvmVcpu *s);

static ExitHandler *const handlers[SVM_NEXITS] = {
#define EXIT_HANDLERS(first, last, name, reason, words) [first... last] = HANDLER_##name,
    SVM_EXIT_LIST(EXIT_HANDLERS)
#undef EXIT_HANDLERS
};

static ExitHandler *handler_of(uint64_t code)
{
    if (code == SVM_EXIT_NPF)
        return svm_handle_npf;
    if ((uint32_t)code == SVM_EXIT_INVALID)
        return handle_invalid;
    return code < SVM_NEXITS ? handlers[code] : handle_unexpected;
}

/* The way of exits that are traced, or that no table knows. */
bool svm_vmexit_slow(struct SvmVcpu *s)
{
    struct Vcpu *v = &s->v;
    enum GuestExitReason reason = svm_exit_reason(s->vmcb);
    count_exit(v, reason);
    trace_exit(v);
    if (reason == EXIT_WRMSR) { /* counted like by svm_vmexit, for its handler */
        v->stats.count[EXIT_WRMSR]--;
        v->stats.count[EXIT_RDMSR]++;
    }
    bool again = handler_of(s->vmcb->exit_code)(s);
    trace_action(v, again);
    return again;
}

/* The handler is called last, as each of them calls its end, so that all of them return to
 * asm_svmrun at once. */
bool svm_vmexit(struct SvmVcpu *s)
{
    uint64_t code = s->vmcb->exit_code;
    if (__builtin_expect(code < SVM_NEXITS, 1)) {
        count_exit(&s->v, exit_reasons[code]);
        return handlers[code](s);
    }
    if (__builtin_expect(code != SVM_EXIT_NPF, 0))
        return svm_vmexit_slow(s);
    count_exit(&s->v, EXIT_MEMORY);
    return svm_handle_npf(s);
}
