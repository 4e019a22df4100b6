/*
 * A guest's debugger: stops, and what its monitor asks for. The monitor works on copies; requests
 * are carried out on the guest's CPU, in debug_attend, when the guest is about to be entered.
 */
#include <kern/sched.h>
#include <kern/uaccess.h>
#include <kern/cpu.h>
#include <inc/error.h>
#include <inc/string.h>
#include <kern/pmap.h>
#include <kern/trap.h>
#include <vmm/backend.h>
#include <vmm/debug/debug.h>
#include <vmm/debug/dr.h>
#include <vmm/debug/drs.h>
#include <vmm/halt.h>
#include <vmm/gmem.h>
#include <vmm/gwalk.h>
#include <vmm/vapic.h>
#include <vmm/verdict.h>
#include <vmm/stop.h>

#define FPU_MXCSR      24 /* offset in an FXSAVE image (SDM "FXSAVE Area") */
#define FPU_MXCSR_MASK 0xffffu
/* What a debugger may change in RFLAGS. */
#define FL_DEBUGGER (FL_USER | FL_IF | FL_IOPL | FL_NT | FL_RF | FL_TF)

void debug_ask(struct Vcpu *v, uint32_t request)
{
    __atomic_or_fetch(&v->debug->request, request, __ATOMIC_RELEASE);
    vcpu_attn(v, ATTN_DEBUG);
}

/* ---- On the guest's CPU ---- */

static void save_registers(struct Vcpu *v)
{
    struct Env *e = v->env;
    struct GuestDebugRegs *r = &v->debug->regs;
    memcpy(&r->gpr, &e->env_tf, offsetof(struct GuestRegs, rip));
    r->gpr.rip = backend->get(v, VREG_RIP);
    r->gpr.rsp = backend->get(v, VREG_RSP);
    r->gpr.rflags = backend->get(v, VREG_RFLAGS);
    r->fs_base = backend->get(v, VREG_FS_BASE);
    r->gs_base = backend->get(v, VREG_GS_BASE);
    r->kernel_gs_base = backend->get(v, VREG_KERNEL_GS_BASE);
    r->cr0 = backend->get(v, VREG_CR0);
    r->cr2 = rcr2();
    r->cr3 = backend->get(v, VREG_CR3);
    r->cr4 = backend->get(v, VREG_CR4);
    r->cr8 = vapic_read_cr8(v);
    r->efer = backend->get(v, VREG_EFER);
    r->cs = backend->get_segment(v, VSEG_CS).selector;
    r->ss = backend->get_segment(v, VSEG_SS).selector;
    r->ds = backend->get_segment(v, VSEG_DS).selector;
    r->es = backend->get_segment(v, VSEG_ES).selector;
    r->fs = backend->get_segment(v, VSEG_FS).selector;
    r->gs = backend->get_segment(v, VSEG_GS).selector;
    env_fpu_save();
    memcpy(r->fpu, e->env_fpu, sizeof(r->fpu));
    backend->paging_mode(v, &v->debug->paging);
}

static void load_registers(struct Vcpu *v)
{
    struct Env *e = v->env;
    const struct GuestDebugRegs *r = &v->debug->regs;
    memcpy(&e->env_tf, &r->gpr, offsetof(struct GuestRegs, rip));
    backend->set(v, VREG_RIP, r->gpr.rip);
    backend->set(v, VREG_RSP, r->gpr.rsp);
    backend->set(v, VREG_RFLAGS, r->gpr.rflags);
    backend->set(v, VREG_FS_BASE, r->fs_base);
    backend->set(v, VREG_GS_BASE, r->gs_base);
    backend->set(v, VREG_KERNEL_GS_BASE, r->kernel_gs_base);
    lcr2(r->cr2);
    if (backend->get(v, VREG_CR3) != r->cr3) {
        backend->set(v, VREG_CR3, r->cr3);
        vcpu_attn(v, ATTN_TLB_FLUSH);
    }
    memcpy(e->env_fpu, r->fpu, sizeof(r->fpu));
    asm volatile("fxrstor64 %0" : : "m"(e->env_fpu));
}

enum Verdict debug_stop(struct Vcpu *v, enum GuestDebugStop why, uint64_t hits)
{
    struct GuestDebug *d = v->debug;
    step_end(v, false);
    save_registers(v);
    v->exit.code = why;
    v->exit.hits = hits;
    d->held = true;
    d->attached = true;
    guest_stop(v, GUEST_EV_DEBUG);
    return DO_LEAVE;
}

/* An intercepted #DB: the debugger's causes stop, the guest's are passed on, and it may have both.
 * DR6 shows register matches that are not enabled, too. */
static enum Verdict debug_trap(struct Vcpu *v, uint64_t causes)
{
    struct GuestDebug *d = v->debug;
    uint64_t ours = debug_hw_hits(d, causes);
    bool stepped = d->mode == STEP_TRAP && (causes & DR6_BS);
    bool trap_guest = stepped && d->guest_tf;
    uint64_t guests = causes & ~(ours | (stepped ? DR6_BS : 0));
    if (d->owns_drs)
        guests &= ~DR6_BREAKPOINTS;
    if (ours || stepped)
        step_end(v, stepped);
    if (guests || trap_guest)
        vcpu_debug_trap(v, guests | (trap_guest ? DR6_BS : 0));
    if (ours || stepped)
        return debug_stop(v, ours ? DEBUG_HW : DEBUG_STEPPED, ours);
    step_to_handler(v);
    return DO_AGAIN;
}

enum Verdict debug_exception(struct Vcpu *v, const struct VcpuException *x)
{
    struct GuestDebug *d = v->debug;
    uint32_t type = x->info & EVENT_TYPE;
    if (x->vector == T_DEBUG && type != EVENT_PRIV_EXC)
        return debug_trap(v, x->address);
    if (type == EVENT_SOFT_EXC) { /* INT3, INTO: traps, which need their length */
        struct Event event = { .info = x->info, .length = x->length };
        if (x->vector == T_BRKPT && d->attached) {
            d->int3 = event;
            return debug_stop(v, DEBUG_INT3, 0);
        }
        v->event = event;
        vcpu_attn(v, ATTN_EVENT);
    } else {
        backend->pass_exception(v, x);
    }
    step_to_handler(v);
    return DO_AGAIN;
}

/* The exit comes before the guest's own debug traps, which wait (SDM "Monitor Trap Flag"); of
 * those, the debugger's watchpoints are reported with the step. */
enum Verdict debug_stepped(struct Vcpu *v)
{
    if (!debug_steps(v))
        return DO_AGAIN;
    uint64_t pending = backend->get(v, VREG_PENDING_DEBUG);
    uint64_t ours = debug_hw_hits(v->debug, pending);
    if (debug_owns_drs(v)) /* what its registers find is not the guest's */
        backend->set(v, VREG_PENDING_DEBUG,
                     pending & ~(uint64_t)(DR6_BREAKPOINTS | PENDING_DEBUG_ENABLED));
    step_end(v, true);
    return debug_stop(v, ours ? DEBUG_HW : DEBUG_STEPPED, ours);
}

/* The monitor lets the guest go on. false: a step that is over already. */
static bool resume_guest(struct Vcpu *v, uint32_t request)
{
    struct GuestDebug *d = v->debug;
    load_registers(v);
    if (request & DEBUG_REQ_PASS) {
        v->event = d->int3;
        vcpu_attn(v, ATTN_EVENT);
    }
    if (request & DEBUG_REQ_DETACH) {
        d->attached = false;
        memset(d->hw, 0, sizeof(d->hw));
    }
    debug_switch_drs(v);
    backend->set_exceptions(v, d->attached ? 1u << T_BRKPT : 0);
    return !(request & DEBUG_REQ_STEP) || step_begin(v);
}

bool debug_attend(struct Vcpu *v)
{
    struct GuestDebug *d = v->debug;
    uint32_t request = __atomic_exchange_n(&d->request, 0, __ATOMIC_ACQUIRE);
    bool done = false;
    if (v->doomed)
        return false;
    if (request & DEBUG_REQ_RESUME)
        done = !resume_guest(v, request);
    else if (d->mode == STEP_EVENT && !(v->event.info & EVENT_VALID))
        done = true; /* it has been delivered */
    else if (d->mode == STEP_CPU && backend->get(v, VREG_RIP) != d->step_rip)
        done = true; /* the VMM, or the monitor, has executed the instruction */
    if (done || (request & DEBUG_REQ_STOP)) {
        debug_stop(v, done ? DEBUG_STEPPED : DEBUG_ASKED, 0);
        return false;
    }
    if (d->mode == STEP_EVENT) {
        vcpu_attn(v, ATTN_DEBUG);
        backend->exit_at_once(v);
    }
    if (d->mode == STEP_CPU) { /* look again after each exit */
        vcpu_attn(v, ATTN_DEBUG);
        v->look_at = AT_ONCE;
    }
    return !v->halted || vcpu_halt_is_over(v);
}

/* ---- On the monitor's CPU; the guest is stopped ---- */

static int64_t let_go(struct Vcpu *v, uint32_t request)
{
    v->debug->held = false;
    debug_ask(v, DEBUG_REQ_RESUME | request);
    env_lock(v->env);
    if (!v->doomed) {
        v->state = GUEST_RUNS;
        sched_wake(v->env);
    }
    env_unlock(v->env);
    return 0;
}

static int64_t request_stop(struct Vcpu *v)
{
    debug_ask(v, DEBUG_REQ_STOP);
    env_lock(v->env);
    sched_poke(v->env);
    env_unlock(v->env);
    return 0;
}

static bool cr3_ok(const struct GuestDebugRegs *r)
{
    return !(r->cr3 >> cpu_features.maxphyaddr);
}

static int64_t set_registers(struct GuestDebug *d, uintptr_t buf)
{
    struct GuestDebugRegs r;
    struct GuestDebugRegs *now = &d->regs;
    if (copyin(&r, buf, sizeof(r)) < 0)
        return -E_FAULT;
    if (!is_canonical(r.gpr.rip) || !is_canonical(r.fs_base) || !is_canonical(r.gs_base) ||
        !is_canonical(r.kernel_gs_base) || !cr3_ok(&r))
        return -E_INVAL;
    r.gpr.rflags = (now->gpr.rflags & ~(uint64_t)FL_DEBUGGER) | (r.gpr.rflags & FL_DEBUGGER);
    *(uint32_t *)(r.fpu + FPU_MXCSR) &= FPU_MXCSR_MASK; /* FXRSTOR wants that */
    now->gpr = r.gpr;
    now->fs_base = r.fs_base;
    now->gs_base = r.gs_base;
    now->kernel_gs_base = r.kernel_gs_base;
    now->cr2 = r.cr2;
    now->cr3 = d->paging.cr3 = r.cr3;
    memcpy(now->fpu, r.fpu, sizeof(now->fpu));
    return 0;
}

static int64_t translate_for_monitor(struct Vcpu *v, uint64_t va)
{
    gpa_t gpa;
    enum WalkResult r = guest_walk(v, &v->debug->paging, va, 0, &gpa);
    bool mapped = r == WALK_OK || r == WALK_FORBIDDEN;
    return mapped && gmem_is_ram(v->vm, gpa, 1) ? (int64_t)gpa : -E_NOT_FOUND;
}

static int64_t set_hw(struct GuestDebug *d, uint64_t n, uintptr_t buf)
{
    struct GuestDebugHw hw;
    if (copyin(&hw, buf, sizeof(hw)) < 0)
        return -E_FAULT;
    return debug_set_hw(d, n, &hw);
}

int64_t debug_command(struct Vcpu *v, int op, uint64_t arg, uintptr_t buf)
{
    struct GuestDebug *d = v->debug;
    if (op == GUEST_DEBUG_STOP)
        return request_stop(v);
    if (v->state != GUEST_DELIVERED || !d->held)
        return -E_AGAIN;
    switch (op) {
    case GUEST_DEBUG_CONTINUE:
        return let_go(v, 0);
    case GUEST_DEBUG_STEP:
        return let_go(v, DEBUG_REQ_STEP);
    case GUEST_DEBUG_PASS:
        return v->exit.code == DEBUG_INT3 ? let_go(v, DEBUG_REQ_PASS) : -E_INVAL;
    case GUEST_DEBUG_DETACH:
        return let_go(v, DEBUG_REQ_DETACH);
    case GUEST_DEBUG_GET_REGS:
        return copyout(buf, &d->regs, sizeof(d->regs)) < 0 ? -E_FAULT : 0;
    case GUEST_DEBUG_SET_REGS:
        return set_registers(d, buf);
    case GUEST_DEBUG_TRANSLATE:
        return translate_for_monitor(v, arg);
    case GUEST_DEBUG_SET_HW:
        return set_hw(d, arg, buf);
    }
    return -E_INVAL;
}
