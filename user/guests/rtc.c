/*
 * rtc: the real-time clock goes on, in BCD and binary, with 12 and 24 hours a day; it can be set,
 * and knows leap years; its memory keeps what is written (MC146818 data sheet). It is set back to
 * about the time that it had. With the word "bare" it passes over what Bochs' clock does in its own
 * way: what it is set to may move by an hour, and it tells of updates only if they interrupt.
 */
#include <inc/date.h>
#include <inc/rtc.h>
#include "rt.h"

const char guest_name[] = "rtc";

#define NMI_OFF    0x80 /* of the index */
#define A_KEPT     0x7f
#define A_OTHER    0x2a /* the usual divider, another rate */
#define C_ZERO     0x8f /* no interrupt, and bits that mean nothing */
#define FREE       0x50 /* bytes that no firmware looks at */
#define FREE_BYTES 8
#define PATIENCE   30000000

static uint8_t in(uint8_t index)
{
    outb(RTC_PORT_INDEX, NMI_OFF | index);
    return inb(RTC_PORT_DATA);
}

static void out(uint8_t index, uint8_t value)
{
    outb(RTC_PORT_INDEX, NMI_OFF | index);
    outb(RTC_PORT_DATA, value);
}

static uint8_t bcd(uint32_t v)
{
    return v / 10 << 4 | v % 10;
}

static uint32_t binary(uint8_t v)
{
    return (v >> 4) * 10 + (v & 0xf);
}

/* Until the next update has ended. */
static void await_update(void)
{
    uint8_t second = in(RTC_SECONDS);
    for (int i = 0; i < PATIENCE; i++)
        if (!(in(RTC_A)&RTC_A_UPDATE) && in(RTC_SECONDS) != second)
            return;
    check(false, "the clock stands still");
}

/* Of the registers as they are in BCD, 24 hours a day. */
static struct Date read_date(void)
{
    return (struct Date){
        .year = binary(in(RTC_CENTURY)) * 100 + binary(in(RTC_YEAR)),
        .month = binary(in(RTC_MONTH)),
        .day = binary(in(RTC_DAY)),
        .hour = binary(in(RTC_HOURS)),
        .minute = binary(in(RTC_MINUTES)),
        .second = binary(in(RTC_SECONDS)),
        .weekday = in(RTC_WEEKDAY),
    };
}

static void write_date(const struct Date *d)
{
    out(RTC_B, RTC_B_24H | RTC_B_SET);
    out(RTC_SECONDS, bcd(d->second));
    out(RTC_MINUTES, bcd(d->minute));
    out(RTC_HOURS, bcd(d->hour));
    out(RTC_WEEKDAY, d->weekday);
    out(RTC_DAY, bcd(d->day));
    out(RTC_MONTH, bcd(d->month));
    out(RTC_YEAR, bcd(d->year % 100));
    out(RTC_CENTURY, bcd(d->year / 100));
    out(RTC_B, RTC_B_24H);
}

static void try_registers(void)
{
    trying("registers A to D");
    uint8_t a = in(RTC_A)&A_KEPT;
    out(RTC_A, RTC_A_UPDATE | A_OTHER);
    check((in(RTC_A)&A_KEPT) == A_OTHER, "A keeps 0x%x", in(RTC_A));
    out(RTC_A, a);
    check(a == 0x26, "A was 0x%x", a);
    check(in(RTC_B) == RTC_B_24H, "B is 0x%x", in(RTC_B));
    check(!(in(RTC_C)&C_ZERO), "C is 0x%x", in(RTC_C));
    out(RTC_D, 0);
    check(in(RTC_D) == RTC_D_VALID, "D is 0x%x", in(RTC_D));
    unsigned i;
    for (i = 0; i < PATIENCE && (in(RTC_A)&RTC_A_UPDATE); i++)
        ;
    check(i < PATIENCE, "an update does not end");
}

static void try_memory(void)
{
    uint8_t old[FREE_BYTES];
    trying("its memory");
    for (unsigned i = 0; i < FREE_BYTES; i++) {
        old[i] = in(FREE + i);
        out(FREE + i, 0xa5 + 17 * i);
    }
    for (unsigned i = 0; i < FREE_BYTES; i++) {
        check(in(FREE + i) == (uint8_t)(0xa5 + 17 * i), "byte %u is 0x%x", i, in(FREE + i));
        out(FREE + i, old[i]);
    }
}

static void try_date(void)
{
    trying("that it tells a date, and goes on");
    struct Date d = read_date();
    check(date_ok(&d) && d.year >= 2020, "%u-%u-%u %u:%u:%u", d.year, d.month, d.day, d.hour,
          d.minute, d.second);
    (void)in(RTC_C);
    check(!(in(RTC_C)&RTC_C_UPDATE), "C stays");
    await_update();
    check((in(RTC_C)&RTC_C_UPDATE) || cmdline_has("bare"), "C tells of no update");
    struct Date later = read_date();
    int64_t seconds = date_seconds(&later) - date_seconds(&d);
    check(seconds >= 1 && seconds <= 10, "%ld seconds later", seconds);
}

/* Set the clock, and look after the next update. */
static void try_set(struct Date from, struct Date want)
{
    write_date(&from);
    await_update();
    struct Date d = read_date();
    check(date_seconds(&d) == date_seconds(&want), "%u-%u-%u %u:%u:%u", d.year, d.month, d.day,
          d.hour, d.minute, d.second);
    check(d.weekday == want.weekday, "the day of the week is %u", d.weekday);
}

static void try_ends(void)
{
    if (cmdline_has("bare"))
        return;
    trying("the end of a day, in a leap year");
    try_set((struct Date){ 2024, 2, 28, 23, 59, 59, 4 }, (struct Date){ 2024, 2, 29, 0, 0, 0, 5 });
    trying("the end of a year");
    try_set((struct Date){ 2027, 12, 31, 23, 59, 59, 6 }, (struct Date){ 2028, 1, 1, 0, 0, 0, 7 });
}

static void try_form(uint8_t b, uint8_t hours, uint8_t minutes)
{
    out(RTC_B, b);
    check(in(RTC_B) == b, "B is 0x%x", in(RTC_B));
    check(in(RTC_HOURS) == hours && in(RTC_MINUTES) == minutes,
          "with B 0x%x: hours 0x%x, minutes 0x%x", b, in(RTC_HOURS), in(RTC_MINUTES));
}

static void try_forms(void)
{
    trying("BCD and binary, 12 and 24 hours");
    struct Date d = read_date();
    while (d.second >= 57) { /* the minute is not to end meanwhile */
        await_update();
        d = read_date();
    }
    uint32_t of_12 = d.hour % 12 ? d.hour % 12 : 12, pm = d.hour >= 12 ? RTC_HOURS_PM : 0;
    try_form(RTC_B_24H | RTC_B_BINARY, d.hour, d.minute);
    try_form(RTC_B_BINARY, of_12 | pm, d.minute);
    try_form(0, bcd(of_12) | pm, bcd(d.minute));
    try_form(RTC_B_24H, bcd(d.hour), bcd(d.minute));
}

static void try_held(void)
{
    trying("registers while updates are held up");
    out(RTC_B, RTC_B_24H | RTC_B_SET);
    out(RTC_DAY, 0x31);
    out(RTC_MONTH, 0x02);
    check(in(RTC_DAY) == 0x31 && in(RTC_MONTH) == 0x02, "day 0x%x, month 0x%x", in(RTC_DAY),
          in(RTC_MONTH));
    out(RTC_MONTH, 0x03);
    out(RTC_HOURS, 0x12);
    out(RTC_B, RTC_B_24H);
    check(in(RTC_DAY) == 0x31 && in(RTC_MONTH) == 0x03, "day 0x%x, month 0x%x", in(RTC_DAY),
          in(RTC_MONTH));
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    struct Date d = read_date();
    try_registers();
    try_memory();
    try_date();
    try_ends();
    try_forms();
    try_held();
    if (date_ok(&d))
        write_date(&d);
    return check_result();
}
