/*
 * The local APIC: x2APIC mode where the CPU has it (always, in gOS), memory-mapped otherwise
 * (SDM "Advanced Programmable Interrupt Controller").
 */
#ifndef JOS_KERN_LAPIC_H
#define JOS_KERN_LAPIC_H

#include <inc/types.h>

void lapic_init(void);
void lapic_eoi(void);
/* One interrupt (T_TIMER) when the TSC reaches deadline, at once if it has; 0 disarms. */
void lapic_timer_set(uint64_t tsc_deadline);
uint32_t lapic_id(void);
void lapic_send_ipi(uint32_t apicid, int vector);

#endif
