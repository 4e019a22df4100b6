/*
 * Reset: the keyboard controller, system control port A and the chip set's reset register, each of
 * which can reset a PC. None of them has a state: what matters is what a write asks for. A
 * register's number is its port.
 */
#include <user/vmm/dev/power.h>

#define PORT_KBC_DATA   0x60
#define PORT_KBC        0x64 /* keyboard controller: commands 0xf0 to 0xff pulse lines, bit 0 is reset */
#define PORT_FAST_RESET 0x92  /* system control port A: bit 0 */
#define PORT_RESET_CTL  0xcf9 /* PCI chip sets: bit 2 */

#define KBC_PULSE    0xf0
#define KBC_NO_RESET 0x01
#define FAST_RESET   0x01
#define A20_ENABLED  0x02
#define RESET_CPU    0x04

/* The keyboard controller has nothing to read, and is ready for commands. Address line 20 is always
 * on. */
static uint64_t power_read(struct Device *d, uint64_t port, unsigned size)
{
    (void)d;
    (void)size;
    switch (port) {
    case PORT_KBC:
    case PORT_KBC_DATA:
        return 0;
    case PORT_FAST_RESET:
        return A20_ENABLED;
    }
    return 0xff;
}

static bool asks_for_reset(uint64_t port, uint64_t v)
{
    switch (port) {
    case PORT_KBC:
        return (v & KBC_PULSE) == KBC_PULSE && !(v & KBC_NO_RESET);
    case PORT_FAST_RESET:
        return v & FAST_RESET;
    case PORT_RESET_CTL:
        return v & RESET_CPU;
    }
    return false;
}

static void power_write(struct Device *d, uint64_t port, unsigned size, uint64_t v)
{
    const struct PowerSwitch *power = ((struct Power *)d)->power;
    (void)size;
    if (asks_for_reset(port, v))
        power->reset(port);
}

static const struct DeviceKind power_kind = {
    .name = "power",
    .bytes = true,
    .read = power_read,
    .write = power_write,
};

int power_add(struct Power *p, struct BusSpace *ports, const struct PowerSwitch *power)
{
    static const struct {
        uint16_t first, count;
    } ranges[] = {
        { PORT_KBC_DATA, 1 },
        { PORT_KBC, 1 },
        { PORT_FAST_RESET, 1 },
        { PORT_RESET_CTL, 1 },
    };
    *p = (struct Power){ .device.kind = &power_kind, .power = power };
    int r = 0;
    for (unsigned i = 0; r == 0 && i < ARRAY_SIZE(ranges); i++)
        r = bus_add(ports, ranges[i].first, ranges[i].count, &p->device, ranges[i].first);
    return r;
}
