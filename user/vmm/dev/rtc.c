/*
 * The real-time clock. Its registers show the time as a PC's firmware sets them up: in BCD, 24
 * hours a day. Register B can choose binary numbers; 12 hours a day, alarms and interrupts are not
 * there. An update takes no time, so register A never says that one is under way.
 */
#include <inc/date.h>
#include <inc/error.h>
#include <inc/rtc.h>
#include <inc/string.h>
#include <user/vmm/dev/rtc.h>

#define NPORTS     2
#define INDEX_MASK 0x7f

#define A_RESET 0x26 /* 32.768 kHz, no update under way */
#define B_KEPT  (RTC_B_24H | RTC_B_BINARY)

/* The part of a date that a register shows. NULL: it is no such register. */
static uint32_t *part(struct Date *d, uint32_t index)
{
    switch (index) {
    case RTC_SECONDS:
        return &d->second;
    case RTC_MINUTES:
        return &d->minute;
    case RTC_HOURS:
        return &d->hour;
    case RTC_WEEKDAY:
        return &d->weekday;
    case RTC_DAY:
        return &d->day;
    case RTC_MONTH:
        return &d->month;
    }
    return NULL;
}

#define LAST_SECOND ((int64_t)(LAST_YEAR - EPOCH_YEAR) * 365 * DAY_SECONDS)

/* Within the years that date_of knows, also after a state with another offset was loaded. */
static int64_t now(const struct Rtc *r)
{
    int64_t t = (r->peer->seconds() + r->state.offset % LAST_SECOND) % LAST_SECOND;
    return t < 0 ? t + LAST_SECOND : t;
}

static uint8_t shown(const struct Rtc *r, uint32_t value)
{
    return r->state.memory[RTC_B] & RTC_B_BINARY ? value : value / 10 << 4 | value % 10;
}

static uint32_t meant(const struct Rtc *r, uint8_t value)
{
    return r->state.memory[RTC_B] & RTC_B_BINARY ? value : (value >> 4) * 10u + (value & 0xf);
}

static uint8_t read_register(const struct Rtc *r, uint32_t index)
{
    struct Date d = date_of(now(r));
    const uint32_t *p = part(&d, index);
    if (p)
        return shown(r, *p);
    if (index == RTC_YEAR || index == RTC_CENTURY)
        return shown(r, index == RTC_YEAR ? d.year % 100 : d.year / 100);
    return r->state.memory[index];
}

/* The guest sets its clock: what it writes holds if there is such a date; a day that the month does
 * not have is its last one. */
static void set_time(struct Rtc *r, uint32_t index, uint32_t value)
{
    struct Date d = date_of(now(r));
    uint32_t *p = part(&d, index);
    if (index == RTC_YEAR)
        d.year = d.year / 100 * 100 + value;
    else if (index == RTC_CENTURY)
        d.year = value * 100 + d.year % 100;
    else if (p)
        *p = value;
    if (d.year < EPOCH_YEAR || d.year > LAST_YEAR || d.month < 1 || d.month > 12 || d.day < 1 ||
        d.hour > 23 || d.minute > 59 || d.second > 59)
        return;
    d.day = MIN(d.day, date_month_days(d.year, d.month));
    r->state.offset = r->state.offset % LAST_SECOND + date_seconds(&d) - now(r);
}

static void write_register(struct Rtc *r, uint32_t index, uint8_t value)
{
    switch (index) {
    case RTC_SECONDS:
    case RTC_MINUTES:
    case RTC_HOURS:
    case RTC_DAY:
    case RTC_MONTH:
    case RTC_YEAR:
    case RTC_CENTURY:
        set_time(r, index, meant(r, value));
        return;
    case RTC_A:
        r->state.memory[RTC_A] = value & ~RTC_A_UPDATE;
        return;
    case RTC_B:
        r->state.memory[RTC_B] = (value & B_KEPT) | RTC_B_24H;
        return;
    case RTC_WEEKDAY: /* the date decides */
    case RTC_C:       /* for reading only */
    case RTC_D:
        return;
    }
    r->state.memory[index] = value;
}

static uint64_t rtc_read(struct Device *d, uint64_t offset, unsigned size)
{
    const struct Rtc *r = (const struct Rtc *)d;
    (void)size;
    return offset == 0 ? 0xff : read_register(r, r->state.index);
}

static void rtc_write(struct Device *d, uint64_t offset, unsigned size, uint64_t value)
{
    struct Rtc *r = (struct Rtc *)d;
    (void)size;
    if (offset == 0)
        r->state.index = value & INDEX_MASK;
    else
        write_register(r, r->state.index, value);
}

static void rtc_save(const struct Device *d, void *state)
{
    memcpy(state, &((const struct Rtc *)d)->state, sizeof(struct RtcState));
}

static int rtc_load(struct Device *d, const void *state)
{
    struct RtcState s;
    memcpy(&s, state, sizeof(s));
    if (s.index > INDEX_MASK || (s.memory[RTC_B] & ~B_KEPT) || !(s.memory[RTC_B] & RTC_B_24H))
        return -E_INVAL;
    ((struct Rtc *)d)->state = s;
    return 0;
}

static const struct DeviceKind rtc_kind = {
    .name = "rtc",
    .bytes = true,
    .read = rtc_read,
    .write = rtc_write,
    .save = rtc_save,
    .load = rtc_load,
    .version = 1,
    .size = sizeof(struct RtcState),
};

int rtc_add(struct Rtc *r, struct BusSpace *ports, const struct RtcPeer *peer, struct IrqLine irq)
{
    *r = (struct Rtc){ .device.kind = &rtc_kind, .peer = peer, .irq = irq };
    r->state.memory[RTC_A] = A_RESET;
    r->state.memory[RTC_B] = RTC_B_24H;
    r->state.memory[RTC_D] = RTC_D_VALID;
    return bus_add(ports, RTC_PORT_INDEX, NPORTS, &r->device, 0);
}
