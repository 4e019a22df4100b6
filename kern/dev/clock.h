/*
 * How fast the TSC and the local APIC timer run.
 */
#ifndef JOS_KERN_DEV_CLOCK_H
#define JOS_KERN_DEV_CLOCK_H

#include <inc/types.h>

extern uint64_t tsc_khz; /* TSC ticks a millisecond */

/* Find tsc_khz, and the rate of the local APIC timer if that needs one. After lapic_init. */
void clock_init(void);

#endif
