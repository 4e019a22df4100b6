/*
 * The real-time clock (MC146818 data sheet). It is taken to show UTC.
 */
#include <inc/date.h>
#include <inc/rtc.h>
#include <inc/string.h>
#include <inc/x86.h>
#include <kern/dev/clock.h>
#include <kern/dev/rtc.h>
#include <kern/platform.h>
#include <kern/spinlock.h>

#define START_OF_2026 1767225600 /* seconds since 1970 */
#define UPDATE_POLLS  100000     /* an update takes two milliseconds at most */
#define TRIES         8

static struct spinlock rtc_lock =
    SPINLOCK_INIT("rtc");    /* protects the index port, and boot_seconds */
static int64_t boot_seconds; /* at boot_tsc; 0: not known yet */

static uint8_t read_register(uint8_t index)
{
    outb(RTC_PORT_INDEX, index);
    return inb(RTC_PORT_DATA);
}

static void await_update(void)
{
    for (int i = 0; i < UPDATE_POLLS && (read_register(RTC_A) & RTC_A_UPDATE); i++)
        continue;
}

static uint32_t number(uint8_t v, uint8_t b)
{
    return b & RTC_B_BINARY ? v : (v >> 4) * 10u + (v & 0xf);
}

/* Of 12 hours a day, 12 comes before 1. */
static uint32_t hour_of(uint8_t v, uint8_t b)
{
    if (b & RTC_B_24H)
        return number(v, b);
    return number(v & ~RTC_HOURS_PM, b) % 12 + (v & RTC_HOURS_PM ? 12 : 0);
}

/* What PCs that have no century's register hold there is no century of these dates. */
static uint32_t year_of(uint8_t century, uint8_t year)
{
    return (century == 19 || century == 20 ? century : 20) * 100 + year;
}

static struct Date read_date(void)
{
    await_update();
    uint8_t b = read_register(RTC_B);
    return (struct Date){
        .second = number(read_register(RTC_SECONDS), b),
        .minute = number(read_register(RTC_MINUTES), b),
        .hour = hour_of(read_register(RTC_HOURS), b),
        .day = number(read_register(RTC_DAY), b),
        .month = number(read_register(RTC_MONTH), b),
        .year = year_of(number(read_register(RTC_CENTURY), b), number(read_register(RTC_YEAR), b)),
    };
}

/* Twice the same is no time that an update has torn. */
static int64_t read_clock(void)
{
    struct Date last = read_date();
    for (int i = 0; i < TRIES; i++) {
        struct Date d = read_date();
        if (memcmp(&d, &last, sizeof(d)) == 0)
            return date_ok(&d) ? date_seconds(&d) : START_OF_2026;
        last = d;
    }
    return START_OF_2026;
}

int64_t rtc_now(void)
{
    spin_lock(&rtc_lock);
    int64_t since_boot = (read_tsc() - boot_tsc) / tsc_khz / 1000;
    if (boot_seconds == 0)
        boot_seconds = read_clock() - since_boot;
    int64_t now = boot_seconds + since_boot;
    spin_unlock(&rtc_lock);
    return now;
}
