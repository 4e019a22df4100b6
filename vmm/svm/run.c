/*
 * The run loop: enter, exit, handle, enter again. asm_svmrun and svm_vmexit turn it; the scheduler
 * is not on this road unless the host wants the CPU or the guest has nothing to do.
 *
 * The host's interrupts exit whatever the guest's RFLAGS.IF, since V_INTR_MASKING makes them the
 * host's. So its own timer is what ends a stay: the scheduler arms it for itself, and the deadline
 * of the guest's virtual timer is added here. (Bochs 2.7 lets no interrupt out of a guest that it
 * has entered with IF clear; a guest that spins so keeps its CPU there.)
 */
#include <inc/mmu.h>
#include <inc/string.h>
#include <kern/cpu.h>
#include <kern/gdb/stub.h>
#include <kern/sched.h>
#include <kern/trap.h>
#include <vmm/backtrace.h>
#include <vmm/debug/debug.h>
#include <vmm/debug/dr.h>
#include <vmm/debug/drs.h>
#include <vmm/halt.h>
#include <vmm/msr.h>
#include <vmm/stop.h>
#include <vmm/svm/asm_svmrun.h>
#include <vmm/svm/exit.h>
#include <vmm/svm/exits.h>
#include <vmm/svm/inject.h>
#include <vmm/svm/insn.h>
#include <vmm/svm/run.h>
#include <vmm/vapic.h>
#include <vmm/verdict.h>
#include <vmm/svm/svm_vcpu.h>

#define DR7_ENABLE_BOTH 3ul /* Ln and Gn, from bit 2 * n on */
#define DR_BYTES        8   /* that a breakpoint watches at most */

/* Do what is asked for, and the entry can come. */
static inline bool attend_and_enter(struct SvmVcpu *s)
{
    return s->v.attn != 0 ? svm_attend(s) : entry_is_prepared(&s->v);
}

/* What the last entry needed is over, and what could not enter then is tried again. */
static void __attribute__((noinline)) tidy(struct SvmVcpu *s)
{
    s->untidy = false;
    s->soft.info = 0;
    s->vmcb->tlb_control = 0;
    if (s->retry)
        vcpu_attn(&s->v, s->retry);
    s->retry = 0;
    if (s->cr0_free)
        vmcb_intercept(s->vmcb, INTERCEPT_MISC1, MISC1_CR0_SELECT, true);
    s->cr0_free = false;
}

/* Give the guest's timer its interrupt, and go on unless the host wants the CPU (false). The
 * scheduler's own deadlines need no look here: its timer exits. */
static bool look_around(struct SvmVcpu *s, uint64_t now)
{
    struct Vcpu *v = &s->v;
    struct Cpu *c = this_cpu();
    if (s->untidy)
        tidy(s);
    if (c->cpu_timer_check) /* an exit's handler has made somebody runnable */
        sched_arm_timer();
    if (c->cpu_preempt)
        return false;
    if (v->vapic.timer_due != 0)
        vapic_timer_check(v, now);
    v->look_at = v->vapic.timer_due - 1; /* 0, no deadline, becomes the largest number: never */
    if (v->vapic.timer_due != 0)
        sched_timer_by(v->vapic.timer_due);
    return attend_and_enter(s);
}

/* There is something to do before the next entry. false: not now, ask the scheduler. */
static bool __attribute__((noinline)) prepare_entry(struct SvmVcpu *s)
{
    uint64_t now = read_tsc();
    return now >= s->v.look_at ? look_around(s, now) : attend_and_enter(s);
}

/* RIP only moves on, on the same side of 4 GiB. */
static inline bool is_plain(const struct Vmcb *b)
{
    return __builtin_expect(!(b->interrupt_shadow & SHADOW_ON), 1) &&
           __builtin_expect(!(b->rflags & (FL_TF | FL_RF)), 1);
}

static inline bool is_near(const struct Vmcb *b, uint64_t rip)
{
    return __builtin_expect((uint32_t)rip >= (uint32_t)b->rip, 1);
}

/* The rare cases: RIP passes 4 GiB, which it does in 64-bit mode only; the instruction was in an
 * interrupt shadow, which ends with it; it ran with RF, which ends too, or with TF, and the
 * single-step trap comes after it. */
static void __attribute__((noinline, cold)) special_step(struct SvmVcpu *s, uint64_t rip)
{
    struct Vmcb *b = s->vmcb;
    b->rip = svm_in_64bit(b) ? rip : (uint32_t)rip;
    b->interrupt_shadow = 0;
    b->rflags &= ~(uint64_t)FL_RF;
    if (!(b->rflags & FL_TF))
        return;
    vcpu_attn(&s->v, ATTN_TRAP);
    look_around_soon(&s->v);
}

static bool __attribute__((noinline, cold)) special_skip(struct SvmVcpu *s, uint64_t rip)
{
    special_step(s, rip);
    return svm_resume(s);
}

/* The ways to end an exit. Every exit takes one of them, so calls are left to the rare cases: then
 * the compiler needs no stack frame here. */
bool svm_resume(struct SvmVcpu *s)
{
    uint64_t now = read_tsc();
    if (__builtin_expect(now >= s->v.prepare_at, 0))
        return prepare_entry(s);
    charge_vmm_ticks(&s->v, now);
    return true;
}

bool svm_skip_to(struct SvmVcpu *s, uint64_t rip)
{
    struct Vmcb *b = s->vmcb;
    if (!is_near(b, rip) || !is_plain(b))
        return special_skip(s, rip);
    b->rip = rip;
    return svm_resume(s);
}

static bool __attribute__((noinline)) skip_unknown(struct SvmVcpu *s, struct InsnCache *c)
{
    return svm_skip_to(s, svm_caps.nrips ? s->vmcb->next_rip : svm_next_rip(s, c));
}

bool svm_skip(struct SvmVcpu *s)
{
    struct Vmcb *b = s->vmcb;
    struct InsnCache *c;
    if (__builtin_expect(!svm_knows_insn(s, &c), 0))
        return skip_unknown(s, c);
    if (!is_plain(b))
        return special_skip(s, c->next);
    b->rip = c->next;
    return svm_resume(s);
}

/* The instruction after the one that exited. */
static uint64_t next_rip(struct SvmVcpu *s)
{
    struct InsnCache *c;
    if (s->vmcb->exit_code == SVM_EXIT_IOIO)
        return s->vmcb->exit_info2;
    if (svm_caps.nrips)
        return s->vmcb->next_rip;
    return svm_knows_insn(s, &c) ? c->next : svm_next_rip(s, c);
}

void svm_skip_instruction(struct Vcpu *v, uint32_t length)
{
    struct SvmVcpu *s = svm_vcpu(v);
    struct Vmcb *b = s->vmcb;
    uint64_t rip = length ? b->rip + length : next_rip(s);
    if (is_near(b, rip) && is_plain(b))
        b->rip = rip;
    else
        special_step(s, rip);
}

bool svm_leave(struct SvmVcpu *s)
{
    (void)s;
    return false;
}

bool svm_finish_rare(struct SvmVcpu *s, enum Verdict verdict)
{
    switch (verdict) {
    case DO_NEXT:
        return svm_skip(s);
    case DO_AGAIN:
        return svm_resume(s);
    case DO_GP:
    case DO_UD:
        svm_inject_fault(&s->v, verdict == DO_GP ? T_GPFLT : T_ILLOP, 0);
        return svm_resume(s);
    case DO_NEXT_AND_LEAVE:
        svm_skip_instruction(&s->v, 0);
        return svm_leave(s);
    case DO_LEAVE:
        break;
    }
    return svm_leave(s);
}

/* Could an access of the host's own between the moves of DR7 meet breakpoint n? */
static bool is_met_here(uint64_t address)
{
    uint64_t top = this_cpu()->cpu_kstack_top;
    return (address >= (uint64_t)asm_svmrun && address < (uint64_t)asm_svmrun_end) ||
           (address > top - KSTACK_SIZE - DR_BYTES && address < top);
}

/* DR7 for an entry: the guest may have changed DR0 to DR3 since the last one. */
static void arm(struct SvmVcpu *s)
{
    uint64_t dr7 = s->vmcb->dr7;
    const uint64_t addresses[] = { rdr0(), rdr1(), rdr2(), rdr3() };
    for (size_t n = 0; n < ARRAY_SIZE(addresses); n++)
        if (is_met_here(addresses[n]))
            dr7 &= ~(DR7_ENABLE_BOTH << 2 * n);
    s->entry_dr7 = dr7;
}

/* The way of exits of one that is special, or while gdb debugs this kernel. An exit leaves the host
 * without debug registers, so gdb's come back, and a step of its goes on at the instruction after
 * the one that sets TF. */
static bool vmexit_special(struct SvmVcpu *s)
{
    if (gdb_on && gdb_after_exit())
        asm volatile("pushfq; orl %0, (%%rsp); popfq" : : "i"(FL_TF) : "memory", "cc");
    bool again = s->v.traced ? svm_vmexit_slow(s) : svm_vmexit(s);
    if (s->special)
        arm(s);
    return again;
}

void svm_note_special(struct SvmVcpu *s)
{
    s->special = s->vmcb->dr7 != DR7_INIT;
    s->vmexit = s->special || gdb_on ? vmexit_special : s->v.traced ? svm_vmexit_slow : svm_vmexit;
    if (s->special)
        arm(s);
}

/* VMLOAD does not switch TSC_AUX, and the host does not use it. */
static void set_tsc_aux(const struct SvmVcpu *s, uint64_t value)
{
    if (s->tsc_aux != 0)
        wrmsr(MSR_TSC_AUX, value);
}

static void load_extras(struct SvmVcpu *s)
{
    vcpu_load_extras(&s->v);
    svm_note_special(s);
}

static void __attribute__((noinline)) enter_first(struct SvmVcpu *s, uint64_t now)
{
    s->v.started = true;
    s->v.stats.start_tsc = now;
    vmcb_init(s);
    svm_note_special(s);
}

/* Bring the guest's state onto this CPU, and do what comes before the entry. false: the host wants
 * the CPU, or the guest has ended. */
static bool vcpu_enter(struct SvmVcpu *s, uint64_t now)
{
    struct Vcpu *v = &s->v;
    struct Cpu *c = this_cpu();
    if (!v->started)
        enter_first(s, now);
    /* The vCPU has not run here since this CPU began to give out its ASIDs again. */
    if (!svm_asid_is_valid(s, c))
        vcpu_attn(v, ATTN_FLUSH);
    s->host_pa = c->cpu_svm_host;
    c->cpu_svm_vcpu = v;
    s->vmcb->cr2 = v->cr2;
    lcr2(v->cr2);
    set_tsc_aux(s, s->tsc_aux);
    if (v->has_extras)
        load_extras(s);
    return look_around(s, now);
}

static void vcpu_leave(struct SvmVcpu *s)
{
    s->v.cr2 = s->vmcb->cr2;
    set_tsc_aux(s, 0);
    if (s->v.has_extras)
        vcpu_save_extras(&s->v);
}

void svm_hand_over(struct Vcpu *v)
{
    vcpu_leave(svm_vcpu(v));
}

void svm_run(struct Env *e)
{
    struct Vcpu *v = e->env_guest;
    struct SvmVcpu *s = svm_vcpu(v);
    uint64_t now = read_tsc();
    v->clock_start = now;
    if (v->state == GUEST_RUNS && vcpu_is_awake(v)) {
        if (vcpu_enter(s, now))
            asm_svmrun(&v->env->env_tf, s);
        chain_at_end(v);
        vcpu_leave(s);
    }
    charge_vmm_ticks(v, read_tsc());
    /* Interrupts that have not caused an exit are taken here. */
    asm volatile("sti; nop; cli" : : : "memory");
    guest_block_if_stopped(v); /* afterwards our caller goes to the scheduler */
}
