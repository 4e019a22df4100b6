/*
 * The guest's machine: which devices it has and what they are connected to, and I/O instructions.
 */
#include <inc/acpi.h>
#include <inc/lib.h>
#include <inc/x86.h>
#include <user/vmm/console.h>
#include <user/vmm/machine.h>
#include <user/vmm/run.h>

static int com1_next(bool ask)
{
    return cons_next_for(CONS_COM1, ask);
}

static void com1_put(const char *s, size_t n)
{
    cons_put_by(CONS_COM1, s, n);
}

static const struct UartPeer console = { .next = com1_next, .put = com1_put, .flush = cons_flush };

static void switch_off(int status)
{
    end_guest(status, NULL);
}

static void reset(uint16_t port)
{
    reset_guest("it asked for a reset (port 0x%x)", port);
}

static const struct PowerSwitch power = { .off = switch_off, .reset = reset };

static const struct RtcPeer clock = { .seconds = sys_time_unix };

/* The PM timer runs by the host's TSC. */
static uint64_t pm_ticks(void)
{
    static uint64_t hz;
    if (hz == 0) {
        struct SysInfo info;
        hz = sys_sysinfo(&info) < 0 ? PM_TIMER_HZ : info.tsc_khz * 1000;
    }
    uint64_t tsc = read_tsc();
    return tsc / hz * PM_TIMER_HZ + tsc % hz * PM_TIMER_HZ / hz;
}

static const struct PmPeer pm_clock = { .ticks = pm_ticks };

/* A message that no local APIC takes is lost, as on a bus. */
static void send_message(void *machine, uint64_t address, uint32_t data)
{
    sys_guest_msi(((struct Machine *)machine)->guest, address, data);
}

/* The inputs of the I/O APIC are those of a PC. */
int machine_init(struct Machine *m, envid_t guest, uint64_t memsize, struct GuestShared *shared,
                 const struct CardOptions *cards)
{
    *m = (struct Machine){ .guest = guest, .memsize = memsize };
    struct BusSpace *ports = &m->bus.ports;
    int r = ioapic_add(&m->ioapic, &m->bus.memory, (struct MessagePeer){ send_message, m });
    if (r == 0)
        r = uart_add(&m->com1, ports, COM1, &console, ioapic_line(&m->ioapic, COM1_INPUT));
    if (r == 0)
        r = rtc_add(&m->rtc, ports, &clock, ioapic_line(&m->ioapic, RTC_INPUT));
    if (r == 0)
        r = pm_add(&m->pm, ports, &pm_clock, &power, ioapic_line(&m->ioapic, SCI_INPUT));
    if (r == 0)
        r = power_add(&m->power, ports, &power);
    if (r == 0)
        r = debugexit_add(&m->debug_exit, ports, &power);
    if (r == 0)
        r = cards_init(&m->cards, &m->bus, guest, memsize, &shared->exit, cards);
    if (r == 0)
        uart_share(&m->com1, &shared->serial, COM1);
    return r;
}

void machine_end(struct Machine *m)
{
    cards_end(&m->cards);
}

bool machine_press_power(struct Machine *m)
{
    return pm_press_power(&m->pm);
}

void machine_output(struct Machine *m)
{
    uart_output(&m->com1);
}

void machine_input(struct Machine *m)
{
    uart_input(&m->com1);
}

/* An access to a device. */
static void __attribute__((noinline)) device_io(struct BusSpace *ports, struct GuestExit *x)
{
    const struct GuestIo *io = &x->io;
    x->skip = 1;
    if (io->in)
        bus_read(ports, io->port, io->size, &x->regs.rax);
    else
        bus_write(ports, io->port, io->size, x->regs.rax);
}

/* An access to another place than the last one. */
static void __attribute__((noinline)) io_elsewhere(struct Machine *m, struct GuestExit *x)
{
    bus_find(&m->bus.ports, x->io.port);
    machine_io(m, x);
}

/* Guests look for devices that are not there, and poll them: that takes no call. */
void machine_io(struct Machine *m, struct GuestExit *x)
{
    struct BusSpace *ports = &m->bus.ports;
    if (!bus_is_last(ports, x->io.port)) {
        io_elsewhere(m, x);
        return;
    }
    if (ports->last.device) {
        device_io(ports, x);
        return;
    }
    if (x->io.in)
        x->regs.rax = ~0ul;
    x->unclaimed++;
    x->last_unclaimed = x->io.port;
    x->skip = 1;
}
