/*
 * How fast the TSC and the local APIC timer run.
 */
#ifndef JOS_KERN_CLOCK_H
#define JOS_KERN_CLOCK_H

/* Find tsc_khz, and the rate of the local APIC timer if that needs one. After lapic_init. */
void clock_init(void);

#endif
