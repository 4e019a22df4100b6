/*
 * How events merge: an exception that comes while another event is delivered (SDM "Interrupt
 * 8-Double Fault Exception (#DF)"; APM 2 "#DF-Double-Fault Exception").
 */
#include <vmm/backend.h>
#include <vmm/vcpu.h>

/* Exceptions by class for the double-fault rules, and those that push an error code; one bit a
 * vector. */
#define CONTRIBUTORY (1u << T_DIVIDE | 1u << T_TSS | 1u << T_SEGNP | 1u << T_STACK | 1u << T_GPFLT)
#define HAS_ERROR                                                                   \
    (1u << T_DBLFLT | 1u << T_TSS | 1u << T_SEGNP | 1u << T_STACK | 1u << T_GPFLT | \
     1u << T_PGFLT | 1u << T_ALIGN)

static bool is_one_of(uint32_t set, int vector)
{
    return vector < 32 && (set >> vector & 1);
}

/* In real mode no exception has an error code, and an entry that wants one fails. */
static void set_exception(struct Vcpu *v, int vector, uint32_t error, bool protected)
{
    bool has_error = is_one_of(HAS_ERROR, vector) && protected;
    v->event = (struct Event){
        .info = EVENT_VALID | EVENT_EXCEPTION | vector | (has_error ? EVENT_ERROR_VALID : 0),
        .error = error,
    };
    vcpu_attn(v, ATTN_EVENT);
}

/* The exception came while `old` was delivered. */
static void __attribute__((noinline))
merge_exception(struct Vcpu *v, uint32_t old, int vector, uint32_t error, bool protected)
{
    int first = old & EVENT_VECTOR;
    if ((old & EVENT_TYPE) == EVENT_EXCEPTION) {
        bool second_bad = is_one_of(CONTRIBUTORY, vector);
        bool second_pf = vector == T_PGFLT;
        if (first == T_DBLFLT && (second_bad || second_pf)) {
            guest_kill(v, "triple fault at rip 0x%lx: exception %d while delivering a double fault",
                       backend->get(v, VREG_RIP), vector);
            return;
        }
        if ((is_one_of(CONTRIBUTORY, first) && second_bad) ||
            (first == T_PGFLT && (second_bad || second_pf))) {
            set_exception(v, T_DBLFLT, 0, protected);
            return;
        }
    }
    /* An interrupt waits in the virtual APIC until this exception has been handled, and an NMI
     * until its handler is entered. What an instruction raised comes again when it is executed
     * again. */
    if ((old & EVENT_TYPE) == EVENT_EXTINT)
        vapic_unack(v, first);
    if ((old & EVENT_TYPE) == EVENT_NMI)
        event_nmi(v);
    set_exception(v, vector, error, protected);
}

void event_exception(struct Vcpu *v, int vector, uint32_t error, bool protected)
{
    uint32_t old = v->event.info;
    if (old & EVENT_VALID)
        merge_exception(v, old, vector, error, protected);
    else
        set_exception(v, vector, error, protected);
}

void event_nmi(struct Vcpu *v)
{
    v->nmi = true;
    vcpu_attn(v, ATTN_NMI);
}
