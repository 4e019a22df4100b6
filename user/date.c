/*
 * date: print the date and the time, UTC.
 */
#include <inc/date.h>
#include <inc/lib.h>

USAGE("date");

int umain(int argc, char **argv)
{
    static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
    static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    (void)argv;
    if (argc > 1)
        return usage();
    struct Date d = date_of(sys_time_unix());
    printf("%s %s %2u %02u:%02u:%02u UTC %u\n", days[d.weekday - 1], months[d.month - 1], d.day,
           d.hour, d.minute, d.second, d.year);
    return 0;
}
