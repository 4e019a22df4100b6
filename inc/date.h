/*
 * Dates of the Gregorian calendar, UTC, from 1970 to 2099, and seconds since 1970.
 */
#ifndef JOS_INC_DATE_H
#define JOS_INC_DATE_H

#include "types.h"

#define DAY_SECONDS 86400
#define EPOCH_YEAR  1970
#define LAST_YEAR   2099 /* up to here, 4 divides all leap years */

struct Date {
    uint32_t year, month, day; /* from 1 on */
    uint32_t hour, minute, second;
    uint32_t weekday; /* 1: Sunday */
};

static inline uint32_t date_month_days(uint32_t year, uint32_t month)
{
    static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    return days[month - 1] + (month == 2 && year % 4 == 0);
}

static inline uint32_t date_year_days(uint32_t year)
{
    return year % 4 == 0 ? 366 : 365;
}

/* Is there such a date? */
static inline bool date_ok(const struct Date *d)
{
    return d->year >= EPOCH_YEAR && d->year <= LAST_YEAR && d->month >= 1 && d->month <= 12 &&
           d->day >= 1 && d->day <= date_month_days(d->year, d->month) && d->hour < 24 &&
           d->minute < 60 && d->second < 60;
}

/* The date at so many seconds, 0 or more, after the beginning of 1970. */
static inline struct Date date_of(int64_t seconds)
{
    uint32_t days = seconds / DAY_SECONDS, rest = seconds % DAY_SECONDS;
    struct Date d = { .year = EPOCH_YEAR,
                      .month = 1,
                      .hour = rest / 3600,
                      .minute = rest / 60 % 60,
                      .second = rest % 60,
                      .weekday = (days + 4) % 7 + 1 }; /* it began on a Thursday */
    for (; d.year < LAST_YEAR && days >= date_year_days(d.year); d.year++)
        days -= date_year_days(d.year);
    for (; d.month < 12 && days >= date_month_days(d.year, d.month); d.month++)
        days -= date_month_days(d.year, d.month);
    d.day = days + 1;
    return d;
}

/* The other way round, of a date that date_ok likes. */
static inline int64_t date_seconds(const struct Date *d)
{
    int64_t days = d->day - 1;
    for (uint32_t y = EPOCH_YEAR; y < d->year; y++)
        days += date_year_days(y);
    for (uint32_t m = 1; m < d->month; m++)
        days += date_month_days(d->year, m);
    return days * DAY_SECONDS + d->hour * 3600 + d->minute * 60 + d->second;
}

#endif
