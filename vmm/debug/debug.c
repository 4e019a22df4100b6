/*
 * A guest's debugger: stops, and what its monitor asks for. The monitor works on copies; requests
 * are carried out on the guest's CPU, in debug_attend, when the guest is about to be entered.
 */
#include <vmm/debug/debug.h>

#define FPU_MXCSR      24 /* offset in an FXSAVE image (SDM "FXSAVE Area") */
#define FPU_MXCSR_MASK 0xffffu
#define CANONICAL(va)  ((uint64_t)((int64_t)((va) << 16) >> 16) == (va))
/* What a debugger may change in RFLAGS. */
#define FL_DEBUGGER (FL_USER | FL_IF | FL_IOPL | FL_NT | FL_RF | FL_TF)

void debug_ask(struct Guest *g, uint32_t request)
{
    __atomic_or_fetch(&g->debug->request, request, __ATOMIC_RELEASE);
    guest_attn(g, ATTN_DEBUG);
}

/* ---- On the guest's CPU ---- */

/* A control register as the guest sees it. */
static uint64_t seen(enum VmcsField real, enum VmcsField mask, enum VmcsField shadow)
{
    uint64_t hosts = vmread(mask);
    return (vmread(real) & ~hosts) | (vmread(shadow) & hosts);
}

static void save_registers(struct Guest *g)
{
    struct Env *e = g->env;
    struct GuestDebugRegs *r = &g->debug->regs;
    memcpy(&r->gpr, &e->env_tf, offsetof(struct GuestRegs, rip));
    r->gpr.rip = vmread(VMCS_GUEST_RIP);
    r->gpr.rsp = vmread(VMCS_GUEST_RSP);
    r->gpr.rflags = vmread(VMCS_GUEST_RFLAGS);
    r->fs_base = vmread(VMCS_GUEST_FS_BASE);
    r->gs_base = vmread(VMCS_GUEST_GS_BASE);
    r->kernel_gs_base = g->guest_msrs[SWITCHED_KERNEL_GS_BASE].value;
    r->cr0 = seen(VMCS_GUEST_CR0, VMCS_CR0_MASK, VMCS_CR0_SHADOW);
    r->cr2 = rcr2();
    r->cr3 = vmread(VMCS_GUEST_CR3);
    r->cr4 = seen(VMCS_GUEST_CR4, VMCS_CR4_MASK, VMCS_CR4_SHADOW);
    r->cr8 = vapic_read_cr8(g);
    r->efer = vmread(VMCS_GUEST_EFER);
    r->cs = vmread(VMCS_GUEST_CS_SEL);
    r->ss = vmread(VMCS_GUEST_SS_SEL);
    r->ds = vmread(VMCS_GUEST_DS_SEL);
    r->es = vmread(VMCS_GUEST_ES_SEL);
    r->fs = vmread(VMCS_GUEST_FS_SEL);
    r->gs = vmread(VMCS_GUEST_GS_SEL);
    env_fpu_save();
    memcpy(r->fpu, e->env_fpu, sizeof r->fpu);
    g->debug->paging = paging_mode();
}

static void load_registers(struct Guest *g)
{
    struct Env *e = g->env;
    const struct GuestDebugRegs *r = &g->debug->regs;
    memcpy(&e->env_tf, &r->gpr, offsetof(struct GuestRegs, rip));
    vmwrite(VMCS_GUEST_RIP, r->gpr.rip);
    vmwrite(VMCS_GUEST_RSP, r->gpr.rsp);
    vmwrite(VMCS_GUEST_RFLAGS, r->gpr.rflags);
    vmwrite(VMCS_GUEST_FS_BASE, r->fs_base);
    vmwrite(VMCS_GUEST_GS_BASE, r->gs_base);
    g->guest_msrs[SWITCHED_KERNEL_GS_BASE].value = r->kernel_gs_base;
    lcr2(r->cr2);
    if (vmread(VMCS_GUEST_CR3) != r->cr3) {
        vmwrite(VMCS_GUEST_CR3, r->cr3);
        guest_attn(g, ATTN_TLB_FLUSH);
    }
    memcpy(e->env_fpu, r->fpu, sizeof r->fpu);
    asm volatile("fxrstor64 %0" : : "m"(e->env_fpu));
}

bool debug_stop(struct Guest *g, enum GuestDebugStop why, uint64_t causes)
{
    struct GuestDebug *d = g->debug;
    step_end(g, false);
    save_registers(g);
    g->exit.code = why;
    g->exit.qualification = causes;
    d->held = true;
    d->attached = true;
    return guest_stop(g, GUEST_EV_DEBUG);
}

/* An intercepted #DB: the debugger's causes stop, the guest's are passed on, and it may have both.
 * DR6 shows register matches that are not enabled, too. */
static bool debug_trap(struct Guest *g)
{
    struct GuestDebug *d = g->debug;
    uint64_t causes = vmread(VMCS_EXIT_QUALIFICATION) & DR6_CAUSES;
    uint64_t ours = debug_hw_hits(d, causes);
    bool stepped = d->mode == STEP_TRAP && (causes & DR6_BS);
    bool trap_guest = stepped && d->guest_tf;
    uint64_t guests = causes & ~(ours | (stepped ? DR6_BS : 0));
    if (d->owns_drs)
        guests &= ~DR6_BREAKPOINTS;
    if (ours || stepped)
        step_end(g, stepped);
    if (guests || trap_guest)
        inject_debug_trap(g, guests | (trap_guest ? DR6_BS : 0));
    if (ours || stepped)
        return debug_stop(g, ours ? DEBUG_HW : DEBUG_STEPPED, ours);
    step_to_handler(g);
    return resume(g);
}

bool debug_exception(struct Guest *g, uint32_t info)
{
    struct GuestDebug *d = g->debug;
    int vector = info & INTR_VECTOR;
    uint32_t type = info & INTR_TYPE;
    if (vector == T_DEBUG && type != INTR_TYPE_PRIVEXC)
        return debug_trap(g);
    if (type == INTR_TYPE_SOFTEXC) { /* INT3, INTO: traps, which need their length */
        struct InjectEvent event = { .info = info & INTR_REINJECT_MASK,
                                     .length = vmread(VMCS_EXIT_INSTR_LENGTH) };
        if (vector == T_BRKPT && d->attached) {
            d->int3 = event;
            return debug_stop(g, DEBUG_INT3, 0);
        }
        g->event = event;
        guest_attn(g, ATTN_EVENT);
    } else {
        pass_exception(g, info);
    }
    step_to_handler(g);
    return resume(g);
}

/* The monitor lets the guest go on. false: a step that is over already. */
static bool go_on(struct Guest *g, uint32_t request)
{
    struct GuestDebug *d = g->debug;
    load_registers(g);
    if (request & DEBUG_REQ_PASS) {
        g->event = d->int3;
        guest_attn(g, ATTN_EVENT);
    }
    if (request & DEBUG_REQ_DETACH) {
        d->attached = false;
        memset(d->hw, 0, sizeof d->hw);
    }
    debug_switch_drs(g);
    vmwrite(VMCS_EXCEPTION_BITMAP, guest_exceptions(g) | (d->attached ? 1u << T_BRKPT : 0));
    return !(request & DEBUG_REQ_STEP) || step_begin(g);
}

bool debug_attend(struct Guest *g)
{
    struct GuestDebug *d = g->debug;
    uint32_t request = __atomic_exchange_n(&d->request, 0, __ATOMIC_ACQUIRE);
    bool done = false;
    if (g->doomed)
        return false;
    if (request & DEBUG_REQ_RESUME)
        done = !go_on(g, request);
    else if (d->mode == STEP_EVENT && !(g->event.info & INTR_VALID))
        done = true; /* it has been delivered */
    else if (d->mode == STEP_MTF && vmread(VMCS_GUEST_RIP) != d->step_rip)
        done = true; /* the VMM, or the monitor, has executed the instruction */
    if (done || (request & DEBUG_REQ_STOP)) {
        debug_stop(g, done ? DEBUG_STEPPED : DEBUG_ASKED, 0);
        return false;
    }
    if (d->mode == STEP_EVENT) {
        guest_attn(g, ATTN_DEBUG);
        step_exit_at_once();
    }
    if (d->mode == STEP_MTF) { /* look again behind each exit */
        guest_attn(g, ATTN_DEBUG);
        g->look_at = 0;
    }
    return !g->halted || halt_is_over(g);
}

/* ---- On the monitor's CPU; the guest is stopped ---- */

static int64_t let_go(struct Guest *g, uint32_t request)
{
    g->debug->held = false;
    debug_ask(g, DEBUG_REQ_RESUME | request);
    env_lock(g->env);
    if (!g->doomed) {
        g->state = GUEST_RUNS;
        sched_wake(g->env);
    }
    env_unlock(g->env);
    return 0;
}

static int64_t stop(struct Guest *g)
{
    debug_ask(g, DEBUG_REQ_STOP);
    env_lock(g->env);
    sched_poke(g->env);
    env_unlock(g->env);
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
    if (copyin(&r, buf, sizeof r) < 0)
        return -E_FAULT;
    if (!CANONICAL(r.gpr.rip) || !CANONICAL(r.fs_base) || !CANONICAL(r.gs_base) ||
        !CANONICAL(r.kernel_gs_base) || !cr3_ok(&r))
        return -E_INVAL;
    r.gpr.rflags = (now->gpr.rflags & ~(uint64_t)FL_DEBUGGER) | (r.gpr.rflags & FL_DEBUGGER);
    *(uint32_t *)(r.fpu + FPU_MXCSR) &= FPU_MXCSR_MASK; /* FXRSTOR wants that */
    now->gpr = r.gpr;
    now->fs_base = r.fs_base;
    now->gs_base = r.gs_base;
    now->kernel_gs_base = r.kernel_gs_base;
    now->cr2 = r.cr2;
    now->cr3 = d->paging.cr3 = r.cr3;
    memcpy(now->fpu, r.fpu, sizeof now->fpu);
    return 0;
}

static int64_t translate(struct Guest *g, uint64_t va)
{
    gpa_t gpa;
    enum WalkResult r = guest_walk_in(g, &g->debug->paging, va, 0, &gpa);
    bool mapped = r == WALK_OK || r == WALK_FORBIDDEN;
    return mapped && gmem_is_ram(g, gpa, 1) ? (int64_t)gpa : -E_NOT_FOUND;
}

static int64_t set_hw(struct GuestDebug *d, uint64_t n, uintptr_t buf)
{
    struct GuestDebugHw hw;
    if (copyin(&hw, buf, sizeof hw) < 0)
        return -E_FAULT;
    return debug_set_hw(d, n, &hw);
}

int64_t debug_command(struct Guest *g, int op, uint64_t arg, uintptr_t buf)
{
    struct GuestDebug *d = g->debug;
    if (op == GUEST_DEBUG_STOP)
        return stop(g);
    if (g->state != GUEST_DELIVERED || !d->held)
        return -E_AGAIN;
    switch (op) {
    case GUEST_DEBUG_CONTINUE:
        return let_go(g, 0);
    case GUEST_DEBUG_STEP:
        return let_go(g, DEBUG_REQ_STEP);
    case GUEST_DEBUG_PASS:
        return g->exit.code == DEBUG_INT3 ? let_go(g, DEBUG_REQ_PASS) : -E_INVAL;
    case GUEST_DEBUG_DETACH:
        return let_go(g, DEBUG_REQ_DETACH);
    case GUEST_DEBUG_GET_REGS:
        return copyout(buf, &d->regs, sizeof d->regs) < 0 ? -E_FAULT : 0;
    case GUEST_DEBUG_SET_REGS:
        return set_registers(d, buf);
    case GUEST_DEBUG_TRANSLATE:
        return translate(g, arg);
    case GUEST_DEBUG_SET_HW:
        return set_hw(d, arg, buf);
    }
    return -E_INVAL;
}
