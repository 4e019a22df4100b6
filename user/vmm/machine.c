/*
 * The guest's machine: which devices it has and what they are connected to, and I/O instructions.
 */
#include <inc/lib.h>
#include <user/vmm/console.h>
#include <user/vmm/machine.h>
#include <user/vmm/run.h>

static const struct UartPeer console = { .next = cons_next, .put = cons_put, .flush = cons_flush };

static void switch_off(int status)
{
    end_guest(status, NULL);
}

static void reset(uint16_t port)
{
    end_guest(1, "it asked for a reset (port 0x%x)", port);
}

static const struct PowerSwitch power = { .off = switch_off, .reset = reset };

#define START_OF_2026 1767225600 /* seconds since 1970 */

/* hOS does not know the date. Guests begin with this year, and may set their clocks. */
static int64_t clock_seconds(void)
{
    return START_OF_2026 + sys_time_msec() / 1000;
}

static const struct RtcPeer clock = { .seconds = clock_seconds };

/* Interrupt lines are not connected: a guest has no interrupt controller for them. */
int machine_init(struct Machine *m, envid_t guest, uint64_t memsize, const struct GuestExit *shared,
                 const struct CardOptions *cards)
{
    *m = (struct Machine){ .guest = guest, .memsize = memsize };
    int r = uart_add(&m->com1, &m->bus.ports, COM1, &console, (struct IrqLine){ NULL, NULL });
    if (r == 0)
        r = rtc_add(&m->rtc, &m->bus.ports, &clock, (struct IrqLine){ NULL, NULL });
    if (r == 0)
        r = power_add(&m->power, &m->bus.ports, &power);
    if (r == 0)
        r = debugexit_add(&m->debug_exit, &m->bus.ports, &power);
    if (r == 0)
        r = cards_init(&m->cards, &m->bus, guest, memsize, shared, cards);
    return r;
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
    x->skip = 1;
}
