/*
 * A guest's virtual local APIC in x2APIC mode (SDM "Extended XAPIC (x2APIC)"): MSRs only, so no
 * instruction has to be decoded. It counts time in the host's TSC.
 */
#ifndef JOS_VMM_VAPIC_H
#define JOS_VMM_VAPIC_H

#include <inc/types.h>
#include <vmm/vapic_state.h>
#include <vmm/verdict.h>

struct Vcpu;

/* State after reset, in x2APIC mode. */
void vapic_init(struct Vapic *a);
/* IA32_TSC_DEADLINE, in the guest's TSC. */
uint64_t vapic_read_deadline(struct Vcpu *v);
void vapic_write_deadline(struct Vcpu *v, uint64_t tsc);
/* CR8: the task-priority class. */
uint64_t vapic_read_cr8(struct Vcpu *v);
void vapic_write_cr8(struct Vcpu *v, uint64_t class);

/* Is no interrupt requested? */
static inline bool vapic_quiet(const struct Vapic *a)
{
    return (a->irr[0] | a->irr[1] | a->irr[2] | a->irr[3]) == 0;
}
/* The vector that priority rules let through now; -1: none. */
int vapic_deliverable(const struct Vapic *a);
/* The CPU takes this vector: requested -> in service. */
static inline void vapic_ack(struct Vapic *a, uint32_t vector)
{
    __atomic_and_fetch(&a->irr[vector / 64], ~(1ul << vector % 64), __ATOMIC_RELAXED);
    a->serving[a->nserving++] = vector;
    a->ppr = vector & ~0xfu; /* priority has let it through, so its class is the highest */
}
/* Undo the last vapic_ack, of this vector: the delivery did not come about. */
void vapic_unack(struct Vcpu *v, int vector);
/* Raise the timer interrupt if it is due at host TSC now. */
void vapic_timer_check(struct Vcpu *v, uint64_t now);
/* Once, before the first guest: find the shortest period of the periodic mode. */
void vapic_timer_init(void);
/* The timer's registers, for vapic.c. */
void vapic_write_timer_lvt(struct Vcpu *v, uint32_t lvt);
void vapic_write_initial(struct Vcpu *v, uint64_t count);
uint64_t vapic_current_count(struct Vcpu *v);

#endif
