/*
 * Stopping and going on. The first CPU that has something to report takes the stub, stops the
 * others by NMI (which reaches a CPU with interrupts off, and is a VM exit), and talks to gdb until
 * gdb lets some or all of them go. Stub code up to that point must not run into gdb's breakpoints,
 * so it calls nothing outside of the stub.
 */
#include <inc/assert.h>
#include <inc/gdbpacket.h>
#include <inc/stdio.h>
#include <inc/string.h>
#include <inc/x86.h>
#include <kern/cmdline.h>
#include <kern/cpu.h>
#include <kern/dev/clock.h>
#include <kern/dev/lapic.h>
#include <kern/dev/pic.h>
#include <kern/flush.h>
#include <kern/frame.h>
#include <kern/gdb/break.h>
#include <kern/gdb/command.h>
#include <kern/gdb/cpu.h>
#include <kern/gdb/port.h>
#include <kern/gdb/regs.h>
#include <kern/gdb/stub.h>
#include <kern/hooks.h>
#include <kern/idt.h>
#include <kern/platform.h>
#include <kern/trap.h>
#include <kern/trapentry.h>

#define IST_GDB      3
#define STACK_SIZE   (2 * PGSIZE)
#define DR6_INIT     0xffff0ff0ul
#define DR6_CAUSES   0xful /* B0 to B3 */
#define DR6_STEP     (1ul << 14)
#define DR7_ENABLES  0xfful
#define NO_OWNER     0xffffffffu
#define ANSWER_POLLS 20000000 /* of another CPU, before it counts as dead */
#define LOOK_MS      100

bool gdb_on;

static volatile uint32_t owner = NO_OWNER; /* CPU that holds the stub */
static envid_t stepped_env;                /* user code of this env has been given TF */

/* In the order of gdb_stubs. */
static const uint8_t gdb_vectors[] = { T_DEBUG, T_NMI, T_BRKPT, IRQ_OFFSET + IRQ_SERIAL2 };

/* ---- One CPU's debug registers ---- */

/* Does a guest have this CPU's debug registers? */
static bool guest_has_drs(void)
{
    return curenv && curenv->env_type == ENV_TYPE_GUEST && guest_hooks.uses_drs(curenv->env_guest);
}

static void save_drs(struct GdbCpu *c, uint64_t dr7)
{
    c->saved_dr7 = dr7;
    c->saved_dr[0] = rdr0();
    c->saved_dr[1] = rdr1();
    c->saved_dr[2] = rdr2();
    c->saved_dr[3] = rdr3();
}

/* gdb's, or a guest's where they were that. */
static void restore_drs(const struct GdbCpu *c)
{
    if (!guest_has_drs() || (c->saved_dr7 & DR7_ENABLES)) {
        gdb_dr_load();
        return;
    }
    ldr0(c->saved_dr[0]);
    ldr1(c->saved_dr[1]);
    ldr2(c->saved_dr[2]);
    ldr3(c->saved_dr[3]);
    ldr7(c->saved_dr7);
}

void gdb_debug_registers(void)
{
    if (gdb_on)
        gdb_dr_load();
}

void gdb_cpu_start(void)
{
    gdb_debug_registers();
}

/* ---- Why a CPU has come ---- */

static bool is_user(const struct Trapframe *tf)
{
    return tf->tf_cs & 3;
}

enum Cause {
    CAUSE_NONE,   /* go on at once */
    CAUSE_PARK,   /* another CPU asks for it */
    CAUSE_REPORT, /* gdb is to know: GdbCpu.signal */
    CAUSE_QUIET,  /* gdb has just connected, and will ask */
    CAUSE_KERNEL, /* it is not gdb's: as without gdb */
};

static enum Cause debug_cause(struct GdbCpu *c, struct Trapframe *tf)
{
    uint64_t dr6 = rdr6();
    bool step = dr6 & DR6_STEP;

    ldr6(DR6_INIT);
    c->signal = GDB_SIGTRAP;
    if (gdb_dr_hit(dr6, &c->watch, &c->watch_kind))
        return CAUSE_REPORT;
    if (step && c->stepping)
        return CAUSE_REPORT;
    /* What is left of a step that another stop has interrupted. */
    if (step && (!is_user(tf) || (curenv && curenv->env_id == stepped_env))) {
        tf->tf_rflags &= ~(uint64_t)FL_TF;
        return CAUSE_NONE;
    }
    return is_user(tf) ? CAUSE_KERNEL : CAUSE_NONE;
}

/* INT3 of gdb's: the instruction there is to be executed yet. */
static enum Cause breakpoint_cause(struct GdbCpu *c, struct Trapframe *tf)
{
    c->signal = GDB_SIGTRAP;
    if (gdb_break_at(tf->tf_rip - 1)) {
        tf->tf_rip--;
        return CAUSE_REPORT;
    }
    return is_user(tf) ? CAUSE_KERNEL : CAUSE_REPORT;
}

static enum Cause port_cause(struct GdbCpu *c)
{
    int why = gdb_port_look();

    pic_eoi(IRQ_SERIAL2);
    c->signal = GDB_SIGINT;
    return why == 0 ? CAUSE_NONE : why == GDB_CTRL_C ? CAUSE_REPORT : CAUSE_QUIET;
}

static enum Cause find_cause(struct GdbCpu *c, struct Trapframe *tf)
{
    c->signal = 0;
    c->watch_kind = NULL;
    if (tf->tf_trapno == T_DEBUG)
        return debug_cause(c, tf);
    if (tf->tf_trapno == T_BRKPT)
        return breakpoint_cause(c, tf);
    if (tf->tf_trapno == T_NMI)
        return owner != NO_OWNER ? CAUSE_PARK : CAUSE_NONE;
    return port_cause(c);
}

/* ---- All CPUs stop, some go on ---- */

static bool change(struct GdbCpu *c, uint32_t from, uint32_t to)
{
    return __atomic_compare_exchange_n(&c->state, &from, to, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_SEQ_CST);
}

static bool take_stub(void)
{
    uint32_t nobody = NO_OWNER;

    return __atomic_compare_exchange_n(&owner, &nobody, this_cpu()->cpu_num, false,
                                       __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* Nobody leaves the stub from here on, and those outside come in. One that does not answer is shown
 * as absent. */
static void stop_others(const struct GdbCpu *self)
{
    for (uint32_t i = 0; i < NCPU; i++) {
        struct GdbCpu *c = &gdb_cpus[i];
        if (c == self || (i > 0 && !cpus[i].cpu_started))
            continue;
        change(c, GDB_GOES, GDB_STOPS);
        if (c->state == GDB_RUNS)
            lapic_send_nmi(cpus[i].cpu_apicid);
        for (int n = 0; n < ANSWER_POLLS && c->state == GDB_RUNS; n++) {
            cpu_flush_poll();
            cpu_pause();
        }
    }
}

static void take_up_action(struct GdbCpu *c)
{
    struct Trapframe *tf = c->tf;

    if (c->state != GDB_STOPS || c->action == GDB_STAY)
        return;
    c->stepping = c->action == GDB_STEP;
    if (c->stepping) {
        tf->tf_rflags |= FL_TF;
        if (is_user(tf))
            stepped_env = c->env;
    }
    change(c, GDB_STOPS, GDB_GOES);
}

/* Hold the stub, and the dialogue with gdb. */
static void serve(struct GdbCpu *c, bool tell)
{
    gdb_break_remove();
    stop_others(c);
    gdb_talk(c, tell);
    gdb_break_insert();
    for (int i = 0; i < NCPU; i++)
        take_up_action(&gdb_cpus[i]);
    __atomic_store_n(&owner, NO_OWNER, __ATOMIC_SEQ_CST);
}

/* Stand here until gdb lets this CPU go. One that has something to report waits until it is let go,
 * too, if another holds the stub. */
static void stand(struct GdbCpu *c, enum Cause cause)
{
    bool report = cause == CAUSE_REPORT || cause == CAUSE_QUIET;

    for (bool first = true;; first = false) {
        if (report && (first || c->state == GDB_GOES) && take_stub()) {
            change(c, GDB_GOES, GDB_STOPS);
            report = false;
            serve(c, cause == CAUSE_REPORT);
        }
        if (!report && change(c, GDB_GOES, GDB_RUNS))
            return;
        if (c->command_due) {
            c->command_due = false;
            gdb_monitor_line(c);
        }
        cpu_flush_poll();
        cpu_pause();
    }
}

/* dr7: as it was at the arrival; now nothing of gdb's is on. */
static void stop_for_gdb(struct GdbCpu *c, struct Trapframe *tf, bool swapped, uint64_t dr7,
                         enum Cause cause)
{
    save_drs(c, dr7);
    gdb_regs_note(c, swapped);
    c->tf = tf;
    if (c->stepping)
        tf->tf_rflags &= ~(uint64_t)FL_TF;
    c->stepping = false;
    __atomic_store_n(&c->state, GDB_STOPS, __ATOMIC_SEQ_CST);
    stand(c, cause);
    restore_drs(c);
}

void gdb_trap(struct Trapframe *tf, bool swapped)
{
    uint64_t dr7 = rdr7();
    ldr7(0);
    struct GdbCpu *c = &gdb_cpus[this_cpu()->cpu_num];
    enum Cause cause = CAUSE_NONE;

    /* The CPU has come by itself in the meantime: this NMI means nothing. */
    if (c->state == GDB_RUNS || tf->tf_trapno != T_NMI)
        cause = find_cause(c, tf);
    if (cause != CAUSE_NONE && cause != CAUSE_KERNEL) {
        stop_for_gdb(c, tf, swapped, dr7, cause);
        return;
    }
    ldr7(dr7);
    if (cause == CAUSE_KERNEL)
        trap(tf);
}

bool gdb_intr(void)
{
    if (gdb_on)
        asm volatile("int %0" : : "i"(IRQ_OFFSET + IRQ_SERIAL2) : "memory");
    else
        pic_eoi(IRQ_SERIAL2);
    return false;
}

void gdb_panic(struct Trapframe *tf)
{
    struct GdbCpu *c = &gdb_cpus[gdb_on ? this_cpu()->cpu_num : 0];

    if (!gdb_on || c->state != GDB_RUNS)
        return;
    if (!tf) {
        asm volatile("int3");
        return;
    }
    uint64_t dr7 = rdr7();
    ldr7(0);
    c->signal = GDB_SIGSEGV;
    c->watch_kind = NULL;
    stop_for_gdb(c, tf, false, dr7, CAUSE_REPORT);
}

/* ---- When the boot CPU does not take COM2's interrupt ---- */

static struct {
    uint64_t at; /* host TSC of the next look; 0: not chosen yet */
    bool waits;  /* a byte was there at the last one */
} looks[NCPU];

static void stop_here(void)
{
    asm volatile("int %0" : : "i"(IRQ_OFFSET + IRQ_SERIAL2) : "memory");
}

uint64_t gdb_look_deadline(void)
{
    uint32_t cpu = this_cpu()->cpu_num;

    if (cpu == 0)
        return ~0ul;
    if (looks[cpu].at == 0)
        looks[cpu].at = read_tsc() + LOOK_MS * tsc_khz;
    return looks[cpu].at;
}

void gdb_look(void)
{
    uint32_t cpu = this_cpu()->cpu_num;

    if (cpu == 0 || read_tsc() < looks[cpu].at)
        return;
    looks[cpu].at = 0;
    bool waits = gdb_port_has_byte();
    bool stop = waits && looks[cpu].waits;
    looks[cpu].waits = waits && !stop;
    if (stop)
        stop_here();
}

static void look_from_wait(void)
{
    if (gdb_port_has_byte())
        stop_here();
}

bool gdb_after_exit(void)
{
    if (!guest_has_drs())
        gdb_dr_load();
    return gdb_cpus[this_cpu()->cpu_num].stepping;
}

/* ---- The start ---- */

static void set_up(void)
{
    gdb_on = true;
    cpu_on_long_wait(look_from_wait);
    for (int i = 0; i < NCPU; i++)
        cpus[i].cpu_tss.ist[IST_GDB - 1] = (uint64_t)boot_alloc(STACK_SIZE) + STACK_SIZE;
    for (size_t i = 0; i < ARRAY_SIZE(gdb_vectors); i++)
        idt_set_gate(gdb_vectors[i], gdb_stubs + TRAP_STUB_SIZE * i,
                     gdb_vectors[i] == T_NMI ? IST_NMI : IST_GDB);
}

void gdb_init(void)
{
    char how[16] = "";

    if (is_guest || !cmdline_word("gdb", how, sizeof(how)))
        return;
    if (!gdb_port_init()) {
        cprintf("gdb: there is no COM2, so nothing to wait for\n");
        return;
    }
    set_up();
    if (strcmp(how, "nowait") == 0)
        return;
    cprintf("gdb: waiting for gdb on COM2 (`gdb=nowait` on the command line does not wait)\n");
    asm volatile("int3");
    cprintf("gdb: going on\n");
}

void gdb_intr_enable(void)
{
    if (gdb_on)
        gdb_port_intr_enable();
}
