/*
 * The event loop: lets the guest run until it needs its monitor, and answers. One handler an event;
 * each either changes the answer in *x or says by end_guest that this was the last one.
 */
#include <user/vmm/attach.h>
#include <user/vmm/console.h>
#include <user/vmm/disks.h>
#include <user/vmm/gdb/session.h>
#include <user/vmm/machine.h>
#include <user/vmm/report.h>
#include <user/vmm/run.h>

static struct {
    envid_t guest;
    bool ended, reset;
    int status;
    char why[sizeof(((struct GuestExit *)0)->why) + 64];
    bool hypercall_console; /* the guest has used CONS_READ or CONS_WRITE */
    uint8_t power_vector;   /* of VMX_VMCALL_POWER_BUTTON; 0: none */
    struct Machine machine;
} run;

static void end(int status, const char *why, va_list ap)
{
    if (run.ended)
        return;
    run.ended = true;
    run.status = status;
    if (why)
        vsnprintf(run.why, sizeof(run.why), why, ap);
}

void end_guest(int status, const char *why, ...)
{
    va_list ap;
    va_start(ap, why);
    end(status, why, ap);
    va_end(ap);
}

void reset_guest(const char *how, ...)
{
    va_list ap;
    va_start(ap, how);
    run.reset = !run.ended;
    end(1, how, ap);
    va_end(ap);
}

void take_output(void)
{
    machine_output(&run.machine);
}

static int64_t call_cons_write(struct GuestExit *x)
{
    static char buf[VMX_CONS_MAX];
    size_t n = MIN(x->regs.rcx, sizeof(buf));

    int r = sys_guest_mem(run.guest, x->regs.rbx, buf, n, false);
    if (r < 0)
        return r;
    cons_put(buf, n);
    cons_flush();
    return n;
}

static int64_t call_cons_read(struct GuestExit *x)
{
    char buf[256];
    size_t n = cons_read(buf, MIN(x->regs.rcx, sizeof(buf)));

    int r = sys_guest_mem(run.guest, x->regs.rbx, buf, n, true);
    return r < 0 ? r : (int64_t)n;
}

/* Tell the guest that CONS_READ would find something. */
static void announce_input(void)
{
    if (run.hypercall_console && cons_pending())
        sys_guest_irq(run.guest, T_HVCONS);
}

static int64_t call_power_button(const struct GuestExit *x)
{
    uint64_t vector = x->regs.rbx;
    if (vector != 0 && (vector < IRQ_OFFSET || vector > UINT8_MAX))
        return -E_INVAL;
    run.power_vector = vector;
    return 0;
}

static int64_t call(struct GuestExit *x)
{
    if (x->regs.rax == VMX_VMCALL_POWER_BUTTON)
        return call_power_button(x);
    run.hypercall_console = true;
    return x->regs.rax == VMX_VMCALL_CONS_WRITE ? call_cons_write(x) : call_cons_read(x);
}

static void on_vmcall(struct GuestExit *x)
{
    x->regs.rax = call(x);
    x->skip = 1;
    announce_input();
}

static void take_input(void)
{
    if (!cons_take())
        attach_end(MON_DETACHED);
    machine_input(&run.machine);
    announce_input();
    cards_input(&run.machine.cards);
}

/* handle has taken it. A guest that prints without end must not keep its user from the console. */
static void on_output(struct GuestExit *x)
{
    (void)x;
    if (cons_wanted())
        take_input();
}

static void on_console(struct GuestExit *x)
{
    (void)x;
    cons_flush();
    if (attached())
        take_input();
}

/* JOS has its own interrupt for the power button, others ACPI's. */
int64_t press_power(void)
{
    if (run.power_vector != 0)
        return sys_guest_irq(run.guest, run.power_vector);
    return machine_press_power(&run.machine) ? 0 : -E_NOT_SUPP;
}

static void on_message(struct GuestExit *x)
{
    (void)x;
    cons_flush();
    struct IpcMessage m;
    if (sys_ipc_try_recv((void *)UTOP, &m) == 0 && !disks_message(m.from))
        attach_message(m.from, m.value);
}

static void on_mmio(struct GuestExit *x)
{
    machine_mmio(&run.machine, x);
}

static void on_off(struct GuestExit *x)
{
    end_guest(x->code, NULL);
}

/* A PC's board resets the CPU after a triple fault. */
static void on_dead(struct GuestExit *x)
{
    run.reset = x->reason == EXIT_SHUTDOWN;
    end_guest(1, "%.*s", (int)sizeof(x->why), x->why);
}

static void on_serial(struct GuestExit *x)
{
    (void)x;
    cons_flush();
    gdb_input();
}

static void on_debug(struct GuestExit *x)
{
    cons_flush();
    gdb_stopped(x);
}

static void (*const handlers[])(struct GuestExit *x) = {
    [GUEST_EV_MMIO] = on_mmio,       [GUEST_EV_VMCALL] = on_vmcall, [GUEST_EV_CONSOLE] = on_console,
    [GUEST_EV_MESSAGE] = on_message, [GUEST_EV_OFF] = on_off,       [GUEST_EV_DEAD] = on_dead,
    [GUEST_EV_OUTPUT] = on_output,   [GUEST_EV_SERIAL] = on_serial, [GUEST_EV_DEBUG] = on_debug,
};

static void handle(unsigned event, struct GuestExit *x)
{
    machine_output(&run.machine);
    if (event < ARRAY_SIZE(handlers) && handlers[event])
        handlers[event](x);
    else
        end_guest(1, "unknown event %u from the VMM", event);
}

/* Serve the guest until this was its last event. */
static void serve(envid_t guest, struct GuestExit *x)
{
    int event = GUEST_EV_NONE;
    while (!run.ended) {
        if (event != GUEST_EV_IO) /* I/O changes nothing there */
            cons_look();
        event = sys_guest_run(guest, cons_wanted());
        if (event == GUEST_EV_IO) /* often */
            machine_io(&run.machine, x);
        else if (event >= 0)
            handle(event, x);
        else if (event == -E_BAD_ENV)
            end_guest(1, "it was killed");
        else
            end_guest(1, "the VMM lost it: %s", strerror(event));
    }
}

static void print_end(envid_t guest, const char *name)
{
    if (run.why[0] == '\0')
        return;
    if (attached())
        complain("guest ended: %s", run.why);
    else
        complain("%s: guest ended: %s", name, run.why);
    report_end(guest);
}

int run_to_end(envid_t guest, const char *name, uint64_t memsize, const struct CardOptions *cards,
               bool restart)
{
    static char page[PGSIZE] __attribute__((aligned(PGSIZE)));

    run.ended = run.reset = run.hypercall_console = false;
    run.why[0] = '\0';
    run.power_vector = 0;
    run.guest = guest;
    struct GuestShared *shared = (struct GuestShared *)page;
    /* Nothing of an earlier guest's. Until it has a UART, nothing is collected for that. */
    *shared = (struct GuestShared){ .serial.port = GUEST_NO_SERIAL };
    cons_begin();
    int r = sys_guest_share(guest, shared);
    if (r < 0)
        end_guest(1, "the VMM has no page for its exits: %s", strerror(r));
    else if ((r = machine_init(&run.machine, guest, memsize, shared, cards)) < 0)
        end_guest(1, "its devices have no room on the bus: %s", strerror(r));
    serve(guest, &shared->exit);
    machine_output(&run.machine);
    machine_end(&run.machine);
    cons_fresh_line();
    if (restart && run.reset) {
        say("vmm: %s starts again: %s\n", name, run.why);
        return RUN_RESET;
    }
    gdb_ended(run.status, run.why[0] != '\0');
    print_end(guest, name);
    return run.status;
}
