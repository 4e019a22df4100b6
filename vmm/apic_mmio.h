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

struct ApicAccess {
    gpa_t gpa;       /* in the page */
    uint32_t access; /* GUEST_READ, GUEST_WRITE or GUEST_FETCH */
    bool delivers;   /* the delivery of an exception or interrupt made it */
    bool walks;      /* the CPU made it in a walk of the guest's page tables */
    bool wide;       /* linear addresses have 64 bits, not 32 */
    uint8_t bits;    /* of the code: 16, 32 or 64 */
    uint64_t va;     /* linear address of the instruction */
    struct PagingMode mode;
};

/* Is this gpa in the page? */
static inline bool apic_has_gpa(const struct Vcpu *v, gpa_t gpa)
{
    return ROUNDDOWN(gpa, PGSIZE) == v->vapic.page;
}

/* Carry the access out. DO_NEXT: it was a MOV of *length bytes, and is done. DO_LEAVE: it is the
 * monitor's to carry out, which asks for the registers (sys_guest_apic); or it has ended the guest.
 */
enum Verdict apic_access(struct Vcpu *v, const struct ApicAccess *a, uint32_t *length);

#endif
