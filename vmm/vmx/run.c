/*
 * The run loop: enter, exit, handle, enter again. asm_vmrun and vmexit turn it; the scheduler is
 * not on this road unless the host's deadline has come or the guest has nothing to do.
 */
#include <vmm/vmx/check/check.h>
#include <vmm/debug/debug.h>
#include <vmm/internal.h>
#include <kern/gdb/stub.h>
#include <kern/platform.h>
#include <kern/dev/clock.h>

/*
 * Longest stay in a guest that has interrupts off, in us, and at least in ticks. The host's
 * interrupts exit by themselves, whatever the guest's RFLAGS.IF (SDM "Pin-Based VM-Execution
 * Controls"); but Bochs lets none out of a guest that it has entered with IF clear. There they come
 * at the end of the stay, and a person at hOS's console is not to wait for long.
 */
#define MAX_STAY_US    1600
#define MAX_STAY_TICKS 32000ul

/* Let the preemption timer end this stay at the host's deadline or the guest's, and look around no
 * later than that. */
static inline void arm_deadline(struct Guest *g, uint64_t now, uint64_t due)
{
    if (g->vapic.timer_due != 0)
        due = MIN(due, g->vapic.timer_due);
    g->look_at = due;
    uint64_t ticks = due > now ? ((due - now) >> vmx_caps.timer_shift) + 1 : 0;
    vmwrite_known(VMCS_PREEMPT_TIMER, MIN(ticks, (uint64_t)UINT32_MAX));
}

/* Do what is asked for, and the entry can come. */
static inline bool attend_and_enter(struct Guest *g)
{
    return g->attn != 0 ? attend(g) : entry_is_prepared(g);
}

/* Look at the deadlines of the guest's timer and of the host, and go on if none has come. false:
 * the host wants the CPU. */
ALWAYS_INLINE bool look_around(struct Guest *g, uint64_t now)
{
    uint64_t due = MIN(g->stay_until, sched_deadline());
    if (now >= due)
        return false;
    if (g->vapic.timer_due != 0)
        vapic_timer_check(g, now);
    arm_deadline(g, now, due);
    return attend_and_enter(g);
}

static inline uint64_t stay_end(uint64_t now)
{
    return now + MAX(tsc_khz * MAX_STAY_US / 1000, MAX_STAY_TICKS);
}

/* The same, in the midst of a stay: one of these deadlines has come. */
static bool __attribute__((noinline)) look_around_later(struct Guest *g, uint64_t now)
{
    if (now >= g->stay_until && (vmread_known(VMCS_GUEST_RFLAGS) & FL_IF))
        g->stay_until = stay_end(now);
    return look_around(g, now);
}

/* There is something to do before the next entry. false: not now, ask the scheduler. */
static bool __attribute__((noinline)) prepare_entry(struct Guest *g)
{
    uint64_t now = read_tsc();
    return now >= g->look_at ? look_around_later(g, now) : attend_and_enter(g);
}

/* Go on behind the instruction if that only means another RIP. false, and nothing is changed:
 * special_step has to do it. */
static inline bool plain_step(void)
{
    uint64_t length = vmread_known(VMCS_EXIT_INSTR_LENGTH);
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
 * single-step trap comes behind it. */
static void __attribute__((noinline, cold)) special_step(void)
{
    uint64_t rip = vmread_known(VMCS_GUEST_RIP) + vmread_known(VMCS_EXIT_INSTR_LENGTH);
    vmwrite_known(VMCS_GUEST_RIP, guest_in_64bit() ? rip : (uint32_t)rip);
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
    if (!plain_step())
        special_step();
}

static bool __attribute__((noinline, cold)) special_skip(struct Guest *g)
{
    special_step();
    return resume(g);
}

/* The ways to end an exit. Every exit takes one of them, so calls are left to the rare cases: then
 * the compiler needs no stack frame here. */
bool resume(struct Guest *g)
{
    uint64_t now = read_tsc();
    if (__builtin_expect(now >= g->prepare_at, 0))
        return prepare_entry(g);
    charge_vmm_ticks(g, now);
    return true;
}

bool skip(struct Guest *g)
{
    return __builtin_expect(plain_step(), 1) ? resume(g) : special_skip(g);
}

bool leave(struct Guest *g)
{
    (void)g;
    return false;
}

bool skip_and_leave(struct Guest *g)
{
    skip_instruction();
    return leave(g);
}

bool halt_is_over(struct Guest *g)
{
    bool open = interrupts_open();
    vapic_timer_check(g, read_tsc());
    env_lock(g->env); /* sys_guest_irq raises first, then looks for WAIT_HLT */
    bool over = open && vapic_deliverable(&g->vapic) >= 0;
    if (!over && !(READ_ONCE(g->attn) & ATTN_DEBUG)) /* its debugger asked while it had the CPU */
        sched_block(WAIT_HLT, open ? g->vapic.timer_due : 0);
    env_unlock(g->env);
    if (over) {
        g->halted = false;
        guest_attn(g, ATTN_IRQ);
    }
    return over;
}

bool guest_uses_drs(const struct Guest *g)
{
    return g->dr_live || debug_owns_drs(g);
}

/* Debug registers are the guest's, or its debugger's, only while it runs, and only if it uses them.
 */
void load_debug_registers(const struct Guest *g)
{
    if (debug_owns_drs(g)) {
        debug_load_drs(g);
        return;
    }
    if (!g->dr_live)
        return;
    ldr0(g->dr[0]);
    ldr1(g->dr[1]);
    ldr2(g->dr[2]);
    ldr3(g->dr[3]);
    ldr6(g->dr6);
}

static void keep_debug_registers(struct Guest *g)
{
    g->dr[0] = rdr0();
    g->dr[1] = rdr1();
    g->dr[2] = rdr2();
    g->dr[3] = rdr3();
    g->dr6 = rdr6();
}

void save_debug_registers(struct Guest *g)
{
    if (!guest_uses_drs(g))
        return;
    if (!debug_owns_drs(g))
        keep_debug_registers(g);
    gdb_debug_registers();
}

/* Can the guest go on, or has it executed HLT and nothing has come? Then it has been put to sleep.
 */
static bool is_awake(struct Guest *g)
{
    return !g->halted || (g->attn & ATTN_DEBUG) || halt_is_over(g);
}

/* Bring the guest's state onto this CPU, where its VMCS is current, and do what comes before the
 * entry. false: the host wants the CPU, or the guest has ended. */
static bool vcpu_enter(struct Guest *g, uint64_t now)
{
    lcr2(g->cr2);
    load_debug_registers(g);
    if (!g->started)
        g->stats.start_tsc = now;
    g->started = true;
    g->stay_until = stay_end(now);
    return look_around(g, now);
}

void vcpu_leave(struct Guest *g)
{
    g->cr2 = rcr2();
    save_debug_registers(g);
    cpu_load_tables(this_cpu());
}

/* A guest that is stopped for its monitor, or has ended, waits until the monitor has answered. A
 * monitor that waits for it gets the CPU, and this does not return. */
static void block_if_stopped(struct Guest *g)
{
    struct Env *monitor = guest_lock_both(g);
    if (g->state != GUEST_RUNS && g->env->env_status == ENV_RUNNING)
        sched_block(WAIT_MONITOR, 0);
    if (g->state == GUEST_EVENT && monitor_waits(g, monitor) && sched_unblock(monitor)) {
        if (g->env->env_status == ENV_NOT_RUNNABLE)
            sched_handoff(monitor);
        sched_ready(monitor);
    }
    env_unlock(monitor);
    env_unlock(g->env);
}

static void run_loop(struct Guest *g)
{
    enum VmxResult r = asm_vmrun(&g->env->env_tf, g, g->launched, &g->host_rsp);
    if (r == VMX_OK) {
        g->launched = true;
    } else {
        guest_kill(g, "VM entry failed: %s", vmx_result_words(r));
        check_failed_entry(g);
    }
}

void vmx_vmrun(struct Env *e)
{
    struct Guest *g = e->env_guest;
    uint64_t now = read_tsc();
    g->clock_start = now;
    if (g->state == GUEST_RUNS && (vmcs_is_current(g) || vmcs_load(g)) && is_awake(g)) {
        if (vcpu_enter(g, now))
            run_loop(g);
        chain_at_end(g);
        vcpu_leave(g);
    }
    if (ncpu > 1)
        vmcs_unload(g); /* its next CPU may be another one */
    charge_vmm_ticks(g, read_tsc());
    /* Interrupts that have not caused an exit are taken here, with nothing of the guest left on the
     * CPU. */
    asm volatile("sti; nop; cli" : : : "memory");
    block_if_stopped(g); /* afterwards our caller goes to the scheduler */
}
