/*
 * The date, by the machine's real-time clock.
 */
#ifndef JOS_KERN_DEV_RTC_H
#define JOS_KERN_DEV_RTC_H

#include <inc/types.h>

/* Seconds since the beginning of 1970, UTC. The clock is read once; from then on, the TSC counts.
 * Where the clock shows no date, the kernel is taken to have started at the beginning of 2026. */
int64_t rtc_now(void);

#endif
