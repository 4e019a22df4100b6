/*
 * A guest's virtual local APIC (SDM "Advanced Programmable Interrupt Controller (APIC)"), in xAPIC
 * and x2APIC mode. It counts time in the host's TSC.
 */
#ifndef JOS_VMM_VAPIC_H
#define JOS_VMM_VAPIC_H

#include <inc/types.h>
#include <vmm/vapic_state.h>
#include <vmm/verdict.h>

struct Vcpu;
struct Vm;

/* ---- Its modes: vapic_base.c ---- */
/* State after reset: in xAPIC mode, at APIC_BASE_RESET. `id` is the CPU's number; number 0 is the
 * bootstrap processor. */
void vapic_init(struct Vapic *a, uint32_t id);
/* WRMSR of IA32_APIC_BASE: DO_NEXT; DO_GP, and nothing has changed; DO_LEAVE: the host has no
 * memory for it, which has ended the guest. RAM under the page of an APIC in xAPIC mode is hidden
 * from the guest (ept_hide), and comes back when the page leaves. */
enum Verdict vapic_write_base(struct Vcpu *v, uint64_t value);

/* ---- Messages between APICs, and from devices: vapic_ipi.c ---- */
#define ICR_VALID 0xffffffff000ccfffull /* bits of the interrupt command register */
/* Write the interrupt command register: an IPI. DO_NEXT; DO_LEAVE: INIT to itself, which has ended
 * the guest. */
enum Verdict vapic_send_ipi(struct Vcpu *v, uint64_t icr);
/* Does a message with this destination go to the APIC? It has the form that the APIC's mode has: 8
 * bits, or 32 in x2APIC mode. */
bool vapic_is_addressed(const struct Vapic *a, uint32_t dest, bool logical);
/* A message-signaled interrupt (inc/msi.h) reaches the APIC of v, if it is addressed. 1: it has
 * accepted it, and the vCPU is to be poked; 0: it has not. -E_INVAL: this is no such message, or
 * its delivery mode or vector is refused. Any CPU may do that. */
int vapic_accept_msi(struct Vcpu *v, uint64_t address, uint32_t data);

/* ---- xAPIC mode: vapic_xapic.c ---- */
/* Load or store `size` bytes (1, 2, 4 or 8) at this offset of the page of registers. A store:
 * DO_NEXT; DO_LEAVE: it has ended the guest. */
uint64_t vapic_load(struct Vcpu *v, uint32_t offset, unsigned size);
enum Verdict vapic_store(struct Vcpu *v, uint32_t offset, unsigned size, uint64_t value);

/* ---- The rest: vapic.c, vapic_timer.c ---- */
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
