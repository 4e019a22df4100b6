/*
 * The local APIC: x2APIC mode where the CPU has it (always, in gOS), memory-mapped otherwise
 * (SDM "Advanced Programmable Interrupt Controller").
 */
#ifndef JOS_KERN_DEV_LAPIC_H
#define JOS_KERN_DEV_LAPIC_H

#include <inc/types.h>

/* Of this CPU. The boot CPU also gets the 8259's interrupts. */
void lapic_init(bool boot_cpu);
void lapic_eoi(void);
/* One interrupt (T_TIMER) when the TSC reaches deadline, at once if it has; 0 disarms. */
void lapic_timer_set(uint64_t tsc_deadline);
uint32_t lapic_id(void);
void lapic_send_ipi(uint32_t apicid, int vector);
/* A non-maskable interrupt for one CPU. */
void lapic_send_nmi(uint32_t apicid);
/* Reset a CPU to its wait for a start-up IPI; start it in real mode at physical page `page` (0 to
 * 255). */
void lapic_send_init(uint32_t apicid);
void lapic_send_startup(uint32_t apicid, uint32_t page);

/* ---- For kern/dev/clock.c: a timer without TSC-deadline mode counts in units of its own. ---- */
/* Does lapic_set_rate have to be called before lapic_timer_set? */
bool lapic_needs_rate(void);
/* Count without an interrupt; stop returns how far it came. */
void lapic_count_start(void);
uint32_t lapic_count_stop(void);
/* The timer counts so much while the TSC counts tsc_ticks (not 0). */
void lapic_set_rate(uint32_t counts, uint64_t tsc_ticks);

#endif
