/*
 * sleep SECONDS: wait. Decimals are understood, down to milliseconds.
 */
#include <inc/lib.h>

USAGE("sleep SECONDS");

/* Milliseconds for "2" or "0.25". -E_INVAL. */
static int64_t parse_msec(const char *s)
{
    char *end;
    if (*s < '0' || *s > '9')
        return -E_INVAL;
    uint64_t msec = strtoul(s, &end, 10);
    if (msec > INT32_MAX)
        return -E_INVAL;
    msec *= 1000;
    if (*end == '.')
        end++;
    for (int unit = 100; *end >= '0' && *end <= '9'; end++, unit /= 10)
        msec += (*end - '0') * unit;
    return *end ? -E_INVAL : (int64_t)msec;
}

int umain(int argc, char **argv)
{
    int64_t msec = argc == 2 ? parse_msec(argv[1]) : -E_INVAL;
    if (msec < 0)
        return usage();
    return sys_sleep_msec(msec) < 0;
}
