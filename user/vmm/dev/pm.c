/*
 * ACPI's fixed hardware. The machine is in ACPI mode from the start, and no event but the power
 * button ever interrupts: of the timer's, the global lock's and the clock's bits there is just what
 * drivers look at when they try them.
 */
#include <inc/acpi.h>
#include <inc/error.h>
#include <inc/string.h>
#include <user/vmm/dev/pm.h>

#define EVENTS        (PM1_TIMER | PM1_GLOBAL | PM1_POWER_BUTTON | PM1_RTC)
#define CONTROL_KEPT  0x1c02u /* sleep type, bus-master reload */
#define TIMER_TOP     (1u << 31)
#define SLEEP_TYPE(v) ((v) >> 10 & 7)

static void drive_sci(const struct Pm *p)
{
    irq_set(&p->sci, p->state.status & p->state.enable);
}

/* "Power Management Timer": the status bit is set whenever the timer's top bit changes. It is
 * looked at when the guest looks. */
static uint32_t read_timer(struct Pm *p)
{
    uint32_t now = p->peer->ticks();
    if ((now ^ p->state.seen) & TIMER_TOP)
        p->state.status |= PM1_TIMER;
    p->state.seen = now;
    return now;
}

/* The register of 32 bits that begins at a port which 4 divides. */
static uint32_t read_register(struct Pm *p, uint64_t port)
{
    switch (port) {
    case PORT_PM_TIMER:
        return read_timer(p);
    case PORT_PM1_EVENT:
        read_timer(p);
        return p->state.status | (uint32_t)p->state.enable << 16;
    case PORT_PM1_CONTROL:
        return p->state.control | PM1_SCI_ENABLED;
    }
    return 0;
}

static uint64_t pm_read(struct Device *d, uint64_t port, unsigned size)
{
    struct Pm *p = (struct Pm *)d;
    uint64_t v = read_register(p, ROUNDDOWN(port, 4));
    if (size > 4 - port % 4)
        return ~0ul;
    v >>= 8 * (port % 4);
    drive_sci(p);
    return v;
}

static void write_control(struct Pm *p, uint32_t v)
{
    p->state.control = v & CONTROL_KEPT;
    if ((v & PM1_SLEEP_ENABLE) && (SLEEP_TYPE(v) == PM_SLEEP_OFF || SLEEP_TYPE(v) == 0))
        p->power->off(0);
}

/* Status bits are cleared by ones, so the bytes that are not written count as zeroes; those of the
 * others stay. */
static void pm_write(struct Device *d, uint64_t port, unsigned size, uint64_t value)
{
    struct Pm *p = (struct Pm *)d;
    unsigned shift = 8 * (port % 4);
    if (size > 4 - port % 4)
        return;
    uint32_t mask = (size == 4 ? ~0u : (1u << 8 * size) - 1) << shift;
    uint32_t v = (uint32_t)value << shift & mask;
    switch (ROUNDDOWN(port, 4)) {
    case PORT_PM1_EVENT:
        p->state.status &= ~v;
        p->state.enable = ((p->state.enable & ~(mask >> 16)) | v >> 16) & EVENTS;
        break;
    case PORT_PM1_CONTROL:
        write_control(p, (p->state.control & ~mask) | v);
        break;
    }
    drive_sci(p);
}

static void pm_save(const struct Device *d, void *state)
{
    memcpy(state, &((const struct Pm *)d)->state, sizeof(struct PmState));
}

static int pm_load(struct Device *d, const void *state)
{
    struct PmState s;
    memcpy(&s, state, sizeof(s));
    if ((s.status & ~EVENTS) || (s.enable & ~EVENTS) || (s.control & ~CONTROL_KEPT) || s.pad)
        return -E_INVAL;
    ((struct Pm *)d)->state = s;
    return 0;
}

static const struct DeviceKind pm_kind = {
    .name = "pm",
    .read = pm_read,
    .write = pm_write,
    .save = pm_save,
    .load = pm_load,
    .version = 1,
    .size = sizeof(struct PmState),
};

int pm_add(struct Pm *p, struct BusSpace *ports, const struct PmPeer *peer,
           const struct PowerSwitch *power, struct IrqLine sci)
{
    static const struct {
        uint16_t first, count;
    } ranges[] = {
        { PORT_PM1_EVENT, PM1_EVENT_BYTES },
        { PORT_PM1_CONTROL, PM1_CONTROL_SIZE },
        { PORT_PM_TIMER, PM_TIMER_SIZE },
    };
    *p = (struct Pm){ .device.kind = &pm_kind, .peer = peer, .power = power, .sci = sci };
    p->state.seen = peer->ticks();
    int r = 0;
    for (unsigned i = 0; r == 0 && i < ARRAY_SIZE(ranges); i++)
        r = bus_add(ports, ranges[i].first, ranges[i].count, &p->device, ranges[i].first);
    return r;
}

bool pm_press_power(struct Pm *p)
{
    if (!(p->state.enable & PM1_POWER_BUTTON))
        return false;
    p->state.status |= PM1_POWER_BUTTON;
    irq_set(&p->sci, false); /* an edge also if the last press was not seen */
    drive_sci(p);
    return true;
}
