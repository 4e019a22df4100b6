/*
 * The run loop: enter, exit, handle, enter again. asm_vmrun and vmexit turn it; the scheduler is
 * not on this road unless the host's deadline has come or the guest has nothing to do.
 */
#include <kern/sched.h>
#include <inc/trap.h>
#include <vmm/backtrace.h>
#include <vmm/check.h>
#include <vmm/debug/debug.h>
#include <vmm/extras.h>
#include <vmm/halt.h>
#include <vmm/run.h>
#include <vmm/stop.h>
#include <vmm/vmx/asm_vmrun.h>
#include <vmm/vmx/inject.h>
#include <vmm/vmx/run.h>
#include <vmm/vmx/state.h>
#include <vmm/vmx/vmcs_load.h>
#include <vmm/kill.h>
#include <vmm/vapic.h>
#include <vmm/verdict.h>
#include <vmm/vmx/vmx.h>

/* Let the preemption timer end this stay at the host's deadline or the guest's, and look around no
 * later than that. */
static inline void arm_deadline(struct Vcpu *v, uint64_t now, uint64_t due)
{
    due = stay_deadline(v, due);
    v->look_at = due;
    /* Rounded up: a timer that ends before the deadline would exit for nothing. */
    uint64_t ticks = due > now ? ((due - now) >> vmx_caps.timer_shift) + 1 : 0;
    vmwrite_known(VMCS_PREEMPT_TIMER, MIN(ticks, (uint64_t)UINT32_MAX));
}

/* Do what is asked for, and the entry can come. */
static inline bool attend_and_enter(struct Vcpu *v)
{
    return v->attn != 0 ? vmx_attend(v) : entry_is_prepared(v);
}

/* Look at the deadlines of the guest's timer and of the host, and go on if none has come. false:
 * the host wants the CPU. */
ALWAYS_INLINE bool look_around(struct Vcpu *v, uint64_t now)
{
    uint64_t due = MIN(v->stay_until, sched_deadline());
    if (now >= due)
        return false;
    if (v->vapic.timer_due != 0)
        vapic_timer_check(v, now);
    arm_deadline(v, now, due);
    return attend_and_enter(v);
}

/* The same, in the middle of a stay: one of these deadlines has come. A guest that has interrupts
 * on now has let those of the host out, too. */
static bool __attribute__((noinline)) look_around_later(struct Vcpu *v, uint64_t now)
{
    if (vmread_known(VMCS_GUEST_RFLAGS) & FL_IF)
        v->stay_until = now + OPEN_STAYS * stay_ticks();
    return look_around(v, now);
}

/* There is something to do before the next entry. false: not now, ask the scheduler. */
static bool __attribute__((noinline)) prepare_entry(struct Vcpu *v)
{
    uint64_t now = read_tsc();
    return now >= v->look_at ? look_around_later(v, now) : attend_and_enter(v);
}

/* Go on after the instruction if that only means another RIP. false, and nothing is changed:
 * vmx_step_over has to do it. Whether the guest is in 64-bit mode, and RIP has an upper half,
 * matters only where the lower half wraps; so that is what is looked at, and a VMREAD is saved. */
static inline bool plain_step(uint64_t length)
{
    uint64_t rip = vmread_known(VMCS_GUEST_RIP) + length;
    if (__builtin_expect((uint32_t)rip < length, 0) ||
        __builtin_expect(vmread_known(VMCS_GUEST_INTERRUPTIBILITY) & BLOCK_INSTRUCTION, 0) ||
        __builtin_expect(vmread_known(VMCS_GUEST_RFLAGS) & (FL_TF | FL_RF), 0))
        return false;
    vmwrite_known(VMCS_GUEST_RIP, rip);
    return true;
}

/* The rare cases: RIP passes 4 GiB, which it does in 64-bit mode only; the instruction was blocked
 * by STI or MOV SS, which ends with it; it ran with RF, which ends too, or with TF, and the
 * single-step trap comes after it. */
void vmx_step_over(uint64_t length)
{
    uint64_t rip = vmread_known(VMCS_GUEST_RIP) + length;
    vmwrite_known(VMCS_GUEST_RIP, vmx_in_64bit(NULL) ? rip : (uint32_t)rip);
    uint64_t block = vmread_known(VMCS_GUEST_INTERRUPTIBILITY),
             flags = vmread_known(VMCS_GUEST_RFLAGS);
    vmwrite_known(VMCS_GUEST_INTERRUPTIBILITY, block & ~(uint64_t)BLOCK_INSTRUCTION);
    vmwrite_known(VMCS_GUEST_RFLAGS, flags & ~(uint64_t)FL_RF);
    if (flags & FL_TF)
        vmwrite_known(VMCS_GUEST_PENDING_DBG,
                      vmread_known(VMCS_GUEST_PENDING_DBG) | PENDING_DBG_BS);
}

void skip_instruction(void)
{
    uint64_t length = vmread_known(VMCS_EXIT_INSTR_LENGTH);
    if (!plain_step(length))
        vmx_step_over(length);
}

bool vmx_skip_here(struct Vcpu *v)
{
    if (!vmcs_is_current(v))
        return false;
    uint64_t length = vmread_known(VMCS_EXIT_INSTR_LENGTH);
    if (!plain_step(length))
        vmx_step_over(length);
    return true;
}

static bool __attribute__((noinline, cold)) special_skip(struct Vcpu *v, uint64_t length)
{
    vmx_step_over(length);
    return vmx_resume(v);
}

/* The ways to end an exit. Every exit takes one of them, so calls are left to the rare cases: then
 * the compiler needs no stack frame here. */
bool vmx_resume(struct Vcpu *v)
{
    uint64_t now = read_tsc();
    if (__builtin_expect(now >= v->prepare_at, 0))
        return prepare_entry(v);
    charge_vmm_ticks(v, now);
    return true;
}

bool vmx_skip(struct Vcpu *v)
{
    uint64_t length = vmread_known(VMCS_EXIT_INSTR_LENGTH);
    return __builtin_expect(plain_step(length), 1) ? vmx_resume(v) : special_skip(v, length);
}

bool vmx_skip_by(struct Vcpu *v, uint32_t length)
{
    return __builtin_expect(plain_step(length), 1) ? vmx_resume(v) : special_skip(v, length);
}

bool vmx_leave(struct Vcpu *v)
{
    (void)v;
    return false;
}

bool vmx_skip_and_leave(struct Vcpu *v)
{
    skip_instruction();
    return vmx_leave(v);
}

/* As a verdict asks, of an exit whose road is not the most frequent one. */
bool vmx_end(struct Vcpu *v, enum Verdict verdict)
{
    switch (verdict) {
    case DO_NEXT:
        return vmx_skip(v);
    case DO_AGAIN:
        return vmx_resume(v);
    case DO_GP:
        return vmx_gp(v);
    case DO_UD:
        return vmx_ud(v);
    case DO_NEXT_AND_LEAVE:
        return vmx_skip_and_leave(v);
    case DO_LEAVE:
        break;
    }
    return vmx_leave(v);
}

/* Bring the guest's state onto this CPU, where its VMCS is current, and do what comes before the
 * entry. false: the host wants the CPU, or the guest has ended. */
static bool vcpu_enter(struct Vcpu *v, uint64_t now)
{
    lcr2(v->cr2);
    if (v->has_extras)
        vcpu_load_extras(v);
    if (!v->started)
        v->stats.start_tsc = now;
    v->started = true;
    v->stay_until = stay_end(now);
    return look_around(v, now);
}

ALWAYS_INLINE void vcpu_leave(struct Vcpu *v)
{
    v->cr2 = rcr2();
    if (v->has_extras)
        vcpu_save_extras(v);
    cpu_load_tables(this_cpu());
}

void vmx_hand_over(struct Vcpu *v)
{
    vmx(v)->launched = true;
    vcpu_leave(v);
}

static void run_loop(struct Vcpu *v)
{
    enum VmxResult r = asm_vmrun(&v->env->env_tf, v, vmx(v)->launched, &vmx(v)->host_rsp);
    if (r == VMX_OK) {
        vmx(v)->launched = true;
    } else {
        guest_kill(v, "VM entry failed: %s", vmx_result_words(r));
        check_failed_entry(v);
    }
}

void vmx_vmrun(struct Env *e)
{
    struct Vcpu *v = e->env_guest;
    uint64_t now = read_tsc();
    v->clock_start = now;
    if (v->state == GUEST_RUNS && (vmcs_is_current(v) || vmcs_load(v)) && vcpu_is_awake(v)) {
        if (vcpu_enter(v, now))
            run_loop(v);
        chain_at_end(v);
        vcpu_leave(v);
    }
    if (ncpu > 1)
        vmcs_unload(v); /* its next CPU may be another one */
    charge_vmm_ticks(v, read_tsc());
    /* Interrupts that have not caused an exit are taken here, with nothing of the guest left on the
     * CPU. */
    asm volatile("sti; nop; cli" : : : "memory");
    guest_block_if_stopped(v); /* afterwards our caller goes to the scheduler */
}
