/*
 * The real-time clock. Its registers show the time as a PC's firmware sets them up: in BCD, 24
 * hours a day. Register B can choose binary numbers; 12 hours a day, alarms and interrupts are not
 * there. An update takes no time, so register A never says that one is under way.
 */
#include <inc/error.h>
#include <inc/string.h>
#include <user/vmm/dev/rtc.h>

#define PORT_INDEX 0x70
#define NPORTS     2
#define INDEX_MASK 0x7f /* bit 7 of port 0x70 masks NMIs */

/* Registers (MC146818 data sheet, "Address Map") */
enum {
    RTC_SECONDS = 0x00,
    RTC_MINUTES = 0x02,
    RTC_HOURS = 0x04,
    RTC_WEEKDAY = 0x06,
    RTC_DAY = 0x07,
    RTC_MONTH = 0x08,
    RTC_YEAR = 0x09,
    RTC_A = 0x0a,
    RTC_B = 0x0b,
    RTC_C = 0x0c,
    RTC_D = 0x0d,
    RTC_CENTURY = 0x32,
};
#define A_RESET  0x26 /* 32.768 kHz, no update under way */
#define A_UPDATE 0x80
#define B_24H    0x02
#define B_BINARY 0x04
#define B_KEPT   (B_24H | B_BINARY)
#define D_VALID  0x80 /* the battery has kept time and memory */

#define DAY_SECONDS 86400
#define EPOCH_YEAR  1970
#define LAST_YEAR   2099 /* whose leap years the loops below know: all that 4 divides */

struct Date {
    uint32_t year, month, day; /* from 1 on */
    uint32_t hour, minute, second, weekday;
};

static uint32_t month_days(uint32_t year, uint32_t month)
{
    static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    return days[month - 1] + (month == 2 && year % 4 == 0);
}

static uint32_t year_days(uint32_t year)
{
    return year % 4 == 0 ? 366 : 365;
}

static struct Date date_of(int64_t seconds)
{
    uint32_t days = seconds / DAY_SECONDS, rest = seconds % DAY_SECONDS;
    struct Date d = { .year = EPOCH_YEAR,
                      .month = 1,
                      .hour = rest / 3600,
                      .minute = rest / 60 % 60,
                      .second = rest % 60,
                      .weekday = (days + 4) % 7 + 1 }; /* 1: Sunday; it began on a Thursday */
    for (; d.year < LAST_YEAR && days >= year_days(d.year); d.year++)
        days -= year_days(d.year);
    for (; d.month < 12 && days >= month_days(d.year, d.month); d.month++)
        days -= month_days(d.year, d.month);
    d.day = days + 1;
    return d;
}

static int64_t seconds_of(const struct Date *d)
{
    int64_t days = d->day - 1;
    for (uint32_t y = EPOCH_YEAR; y < d->year; y++)
        days += year_days(y);
    for (uint32_t m = 1; m < d->month; m++)
        days += month_days(d->year, m);
    return days * DAY_SECONDS + d->hour * 3600 + d->minute * 60 + d->second;
}

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
    return r->state.memory[RTC_B] & B_BINARY ? value : value / 10 << 4 | value % 10;
}

static uint32_t meant(const struct Rtc *r, uint8_t value)
{
    return r->state.memory[RTC_B] & B_BINARY ? value : (value >> 4) * 10u + (value & 0xf);
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
    d.day = MIN(d.day, month_days(d.year, d.month));
    r->state.offset = r->state.offset % LAST_SECOND + seconds_of(&d) - now(r);
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
        r->state.memory[RTC_A] = value & ~A_UPDATE;
        return;
    case RTC_B:
        r->state.memory[RTC_B] = (value & B_KEPT) | B_24H;
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
    if (s.index > INDEX_MASK || (s.memory[RTC_B] & ~B_KEPT) || !(s.memory[RTC_B] & B_24H))
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
    r->state.memory[RTC_B] = B_24H;
    r->state.memory[RTC_D] = D_VALID;
    return bus_add(ports, PORT_INDEX, NPORTS, &r->device, 0);
}
