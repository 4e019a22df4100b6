/*
 * The guest's I/O ports: one table of who answers where. An access goes, whole, to the device that
 * has its first port, as on a PC's bus. The devices here have byte-wide registers, so a wider
 * access reaches as many neighbouring registers, but only of this device: a 32-bit write to 0xcf8
 * never touches 0xcf9. Where nothing is, reads are all ones and writes are lost.
 */
#include <user/vmm/monitor.h>
#include "uart.h"

/* Ports by which kernels end or restart a machine. */
#define PORT_KBC_DATA   0x60
#define PORT_KBC        0x64 /* keyboard controller: commands 0xf0 to 0xff pulse lines, bit 0 is reset */
#define PORT_FAST_RESET 0x92  /* system control port A: bit 0 */
#define PORT_EXIT       0x501 /* as QEMU's isa-debug-exit, but the value itself is the exit status */
#define PORT_PM1        0x604 /* ACPI's PM1 control, 16 bits */
#define PORT_RESET_CTL  0xcf9 /* PCI chip sets: bit 2 */

#define KBC_PULSE    0xf0
#define KBC_NO_RESET 0x01
#define FAST_RESET   0x01
#define PM1_HIGH     (PORT_PM1 + 1)
#define PM1_SLP_EN   0x20 /* bit 13 of the register */
#define RESET_CPU    0x04

static uint64_t unknown;

uint64_t ports_unknown(void)
{
    return unknown;
}

static void reset_requested(uint16_t port)
{
    end_guest(1, "it asked for a reset (port 0x%x)", port);
}

/* Nothing to read, and ready for commands. */
static uint8_t kbc_in(uint16_t port)
{
    (void)port;
    return 0;
}

static void kbc_out(uint16_t port, uint8_t v)
{
    if (port == PORT_KBC && (v & KBC_PULSE) == KBC_PULSE && !(v & KBC_NO_RESET))
        reset_requested(port);
}

static void fast_reset_out(uint16_t port, uint8_t v)
{
    if (v & FAST_RESET)
        reset_requested(port);
}

static void reset_ctl_out(uint16_t port, uint8_t v)
{
    if (v & RESET_CPU)
        reset_requested(port);
}

static void exit_out(uint16_t port, uint8_t v)
{
    (void)port;
    end_guest(v, NULL);
}

static void pm1_out(uint16_t port, uint8_t v)
{
    if (port == PM1_HIGH && (v & PM1_SLP_EN))
        end_guest(0, NULL);
}

/* In ascending order; the last one, which no port reaches, ends every search. */
static const struct Device {
    uint32_t first, last;
    uint8_t (*in)(uint16_t port); /* NULL: all ones */
    void (*out)(uint16_t port, uint8_t v);
} devices[] = {
    { PORT_KBC_DATA, PORT_KBC_DATA, kbc_in, kbc_out },
    { PORT_KBC, PORT_KBC, kbc_in, kbc_out },
    { PORT_FAST_RESET, PORT_FAST_RESET, NULL, fast_reset_out },
    { COM1, COM1 + COM_NPORTS - 1, uart_in, uart_out },
    { PORT_EXIT, PORT_EXIT, NULL, exit_out },
    { PORT_PM1, PM1_HIGH, NULL, pm1_out },
    { PORT_RESET_CTL, PORT_RESET_CTL, NULL, reset_ctl_out },
    { UINT16_MAX + 1, UINT32_MAX, NULL, NULL },
};

static const struct Device *find_device(uint16_t port)
{
    const struct Device *d = devices;
    while (port > d->last)
        d++;
    return port >= d->first ? d : NULL;
}

static inline uint8_t read_register(const struct Device *d, uint16_t port)
{
    return d->in ? d->in(port) : 0xff;
}

/* The registers of d from port on, as many as there are among n; ones beyond them. */
static uint64_t __attribute__((noinline))
read_wide(const struct Device *d, uint32_t port, unsigned n)
{
    uint64_t value = ~0ul;
    for (unsigned i = 0; i < n && port + i <= d->last; i++) {
        value &= ~(0xfful << 8 * i);
        value |= (uint64_t)read_register(d, port + i) << 8 * i;
    }
    return value;
}

static void __attribute__((noinline))
write_wide(const struct Device *d, uint32_t port, unsigned n, uint64_t value)
{
    for (unsigned i = 0; i < n && port + i <= d->last; i++)
        d->out(port + i, value >> 8 * i);
}

/* Devices are accessed by bytes mostly, and polled without end. */
void ports_io(struct GuestExit *x)
{
    uint16_t port = x->io.port;
    const struct Device *d = find_device(port);
    x->skip = 1;
    if (!d) {
        unknown++;
        x->regs.rax = ~0ul; /* of an OUT nobody looks at it */
    } else if (x->io.in) {
        x->regs.rax = x->io.size == 1 ? read_register(d, port) : read_wide(d, port, x->io.size);
    } else if (x->io.size == 1) {
        d->out(port, x->regs.rax);
    } else {
        write_wide(d, port, x->io.size, x->regs.rax);
    }
}
