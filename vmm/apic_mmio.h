/*
 * A guest's accesses to the page of its local APIC in xAPIC mode. Both back ends come here with
 * what they know of the exit.
 */
#ifndef JOS_VMM_APIC_MMIO_H
#define JOS_VMM_APIC_MMIO_H

#include <inc/types.h>
#include <vmm/paging.h>
#include <vmm/vcpu.h>
#include <vmm/verdict.h>

/* Kinds of access, beside GUEST_READ, GUEST_WRITE and GUEST_FETCH, one of which it is. */
#define APIC_DELIVERS 8  /* the delivery of an exception or interrupt made it */
#define APIC_WALKS    16 /* the CPU made it in a walk of the guest's page tables */

/* Modes of code: bits of an address, and whether paging has four levels. */
#define CODE_BITS   0x7f
#define CODE_LEVEL4 0x80

/* Is this gpa in the page? */
static inline bool apic_has_gpa(const struct Vcpu *v, gpa_t gpa)
{
    return ROUNDDOWN(gpa, PGSIZE) == v->vapic.page;
}

/*
 * Carry out an access to gpa, which is in the page, by the instruction at linear address va;
 * access: GUEST_READ, GUEST_WRITE or GUEST_FETCH, with APIC_*; code: 16, 32 or 64 bits, with
 * CODE_LEVEL4. The length of the instruction, a MOV that is done. 0: it is the monitor's to carry
 * out, which asks for the registers (sys_guest_apic); or the guest has ended.
 */
uint32_t apic_access(struct Vcpu *v, gpa_t gpa, uint32_t access, uint64_t va, uint64_t cr3,
                     uint32_t code);

#endif
