/*
 * How events merge: an exception that comes while another event is delivered (SDM "Interrupt
 * 8-Double Fault Exception (#DF)"; APM 2 "#DF-Double-Fault Exception").
 */
#include <vmm/backend.h>
#include <vmm/kill.h>
#include <vmm/vapic.h>
#include <vmm/exception.h>

/* Exceptions by class for the double-fault rules; one bit a vector. */
#define CONTRIBUTORY (1u << T_DIVIDE | 1u << T_TSS | 1u << T_SEGNP | 1u << T_STACK | 1u << T_GPFLT)

static bool is_contributory(int vector)
{
    return vector < 32 && (CONTRIBUTORY >> vector & 1);
}

void event_merge(struct Vcpu *v, int vector, uint32_t error, bool protected)
{
    uint32_t old = v->event.info;
    int first = old & EVENT_VECTOR;
    if ((old & EVENT_TYPE) == EVENT_EXCEPTION) {
        bool second_bad = is_contributory(vector);
        bool second_pf = vector == T_PGFLT;
        if (first == T_DBLFLT && (second_bad || second_pf)) {
            guest_kill(v, "triple fault at rip 0x%lx: exception %d while delivering a double fault",
                       backend->get(v, VREG_RIP), vector);
            return;
        }
        if ((is_contributory(first) && second_bad) ||
            (first == T_PGFLT && (second_bad || second_pf))) {
            event_set(v, T_DBLFLT, 0, protected);
            return;
        }
    }
    /* An interrupt waits in the virtual APIC until this exception has been handled, and an NMI
     * until its handler is entered. What an instruction raised comes again when it is executed
     * again. */
    if ((old & EVENT_TYPE) == EVENT_EXTINT)
        vapic_unack(v, first);
    if ((old & EVENT_TYPE) == EVENT_NMI)
        vcpu_nmi(v);
    event_set(v, vector, error, protected);
}
