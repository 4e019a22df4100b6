/*
 * The real-time clock. Its registers show the time as a PC's firmware sets them up: in BCD, 24
 * hours a day; register B can choose binary numbers and 12 hours. Alarms and interrupts are not
 * there. An update takes no time, so register A never says that one is under way. While register B
 * holds updates up (SET), the time's registers are memory; afterwards they are the time, if there
 * is such a date.
 */
#include <inc/date.h>
#include <inc/error.h>
#include <inc/rtc.h>
#include <inc/string.h>
#include <user/vmm/dev/rtc.h>

#define NPORTS     2
#define INDEX_MASK 0x7f

#define A_RESET 0x26 /* 32.768 kHz, no update under way */
#define B_KEPT  (RTC_B_SET | RTC_B_24H | RTC_B_BINARY)

#define NREGISTERS 8 /* of the time */

static const uint8_t registers[NREGISTERS] = {
    RTC_SECONDS, RTC_MINUTES, RTC_HOURS, RTC_WEEKDAY, RTC_DAY, RTC_MONTH, RTC_YEAR, RTC_CENTURY,
};

/* The part of a date that one of its registers, but for year and century, is. */
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
    }
    return &d->month;
}

#define LAST_SECOND ((int64_t)(LAST_YEAR - EPOCH_YEAR) * 365 * DAY_SECONDS)

/* Within the years that date_of knows, also after a state with another offset was loaded. */
static int64_t now(const struct Rtc *r)
{
    int64_t t = (r->peer->seconds() + r->state.offset % LAST_SECOND) % LAST_SECOND;
    return t < 0 ? t + LAST_SECOND : t;
}

/* A number as register B wants it, and the other way round. */
static uint8_t shown(const struct Rtc *r, uint32_t value)
{
    return r->state.memory[RTC_B] & RTC_B_BINARY ? value : value / 10 << 4 | value % 10;
}

static uint32_t meant(const struct Rtc *r, uint8_t value)
{
    return r->state.memory[RTC_B] & RTC_B_BINARY ? value : (value >> 4) * 10u + (value & 0xf);
}

/* Of 12 hours a day, 12 comes before 1. */
static uint8_t shown_hour(const struct Rtc *r, uint32_t hour)
{
    if (r->state.memory[RTC_B] & RTC_B_24H)
        return shown(r, hour);
    return shown(r, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? RTC_HOURS_PM : 0);
}

static uint32_t meant_hour(const struct Rtc *r, uint8_t value)
{
    if (r->state.memory[RTC_B] & RTC_B_24H)
        return meant(r, value);
    return meant(r, value & ~RTC_HOURS_PM) % 12 + (value & RTC_HOURS_PM ? 12 : 0);
}

/* "Update-ended flag": it is cleared by reading. No update ends while B says SET. */
static uint8_t read_flags(struct Rtc *r)
{
    int64_t second = r->peer->seconds();
    bool updated = second != r->state.told && !(r->state.memory[RTC_B] & RTC_B_SET);
    r->state.told = second;
    return updated ? RTC_C_UPDATE : 0;
}

static uint8_t read_time(const struct Rtc *r, uint32_t index)
{
    struct Date d = date_of(now(r));
    switch (index) {
    case RTC_HOURS:
        return shown_hour(r, d.hour);
    case RTC_YEAR:
        return shown(r, d.year % 100);
    case RTC_CENTURY:
        return shown(r, d.year / 100);
    }
    return shown(r, *part(&d, index));
}

static bool is_time(uint32_t index)
{
    for (unsigned i = 0; i < NREGISTERS; i++)
        if (registers[i] == index)
            return true;
    return false;
}

static uint8_t read_register(struct Rtc *r, uint32_t index)
{
    if (index == RTC_C)
        return read_flags(r);
    if (is_time(index) && !(r->state.memory[RTC_B] & RTC_B_SET))
        return read_time(r, index);
    return r->state.memory[index];
}

/* Let this part of the date be what a register says. */
static void set_part(const struct Rtc *r, struct Date *d, uint32_t index, uint8_t value)
{
    switch (index) {
    case RTC_HOURS:
        d->hour = meant_hour(r, value);
        return;
    case RTC_YEAR:
        d->year = d->year / 100 * 100 + meant(r, value);
        return;
    case RTC_CENTURY:
        d->year = meant(r, value) * 100 + d->year % 100;
        return;
    case RTC_WEEKDAY: /* the date decides */
        return;
    }
    *part(d, index) = meant(r, value);
}

/* The guest sets its clock: it holds if there is such a date; a day that the month does not have is
 * its last one. */
static void set_time(struct Rtc *r, struct Date *d)
{
    if (d->year < EPOCH_YEAR || d->year > LAST_YEAR || d->month < 1 || d->month > 12 ||
        d->day < 1 || d->hour > 23 || d->minute > 59 || d->second > 59)
        return;
    d->day = MIN(d->day, date_month_days(d->year, d->month));
    r->state.offset = r->state.offset % LAST_SECOND + date_seconds(d) - now(r);
}

/* Hold updates up, or let them go on from what the registers say by then. */
static void write_b(struct Rtc *r, uint8_t value)
{
    uint8_t *memory = r->state.memory, changed = (memory[RTC_B] ^ value) & RTC_B_SET;
    if (changed && (value & RTC_B_SET))
        for (unsigned i = 0; i < NREGISTERS; i++)
            memory[registers[i]] = read_time(r, registers[i]);
    memory[RTC_B] = value & B_KEPT;
    if (!changed || (value & RTC_B_SET))
        return;
    struct Date d = date_of(now(r));
    for (unsigned i = 0; i < NREGISTERS; i++)
        set_part(r, &d, registers[i], memory[registers[i]]);
    set_time(r, &d);
}

static void write_time(struct Rtc *r, uint32_t index, uint8_t value)
{
    if (r->state.memory[RTC_B] & RTC_B_SET) {
        r->state.memory[index] = value;
        return;
    }
    struct Date d = date_of(now(r));
    set_part(r, &d, index, value);
    set_time(r, &d);
}

static void write_register(struct Rtc *r, uint32_t index, uint8_t value)
{
    switch (index) {
    case RTC_A:
        r->state.memory[RTC_A] = value & ~RTC_A_UPDATE;
        return;
    case RTC_B:
        write_b(r, value);
        return;
    case RTC_C: /* for reading only */
    case RTC_D:
        return;
    }
    if (is_time(index))
        write_time(r, index, value);
    else
        r->state.memory[index] = value;
}

static uint64_t rtc_read(struct Device *d, uint64_t offset, unsigned size)
{
    struct Rtc *r = (struct Rtc *)d;
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
    if (s.index > INDEX_MASK || (s.memory[RTC_B] & ~B_KEPT))
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
    .version = 2,
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
