/*
 * Exceptions: those that were intercepted, as the back end has decoded them, and those to inject.
 */
#ifndef JOS_VMM_EXCEPTION_H
#define JOS_VMM_EXCEPTION_H

#include <vmm/vcpu.h>

struct VcpuException {
    int vector;
    uint32_t info;    /* EVENT_* */
    uint32_t error;   /* its error code, if EVENT_ERROR_VALID */
    uint32_t length;  /* of the instruction, for software exceptions */
    uint64_t address; /* of a #PF: linear; of a #DB: its causes, as DR6 has them */
};

/* Exceptions that push an error code; one bit a vector. */
#define HAS_ERROR                                                                   \
    (1u << T_DBLFLT | 1u << T_TSS | 1u << T_SEGNP | 1u << T_STACK | 1u << T_GPFLT | \
     1u << T_PGFLT | 1u << T_ALIGN)

/* The next entry injects this exception. In real mode no exception has an error code, and an entry
 * that wants one fails. */
static inline void event_set(struct Vcpu *v, int vector, uint32_t error, bool protected)
{
    bool has_error = vector < 32 && (HAS_ERROR >> vector & 1) && protected;
    v->event = (struct Event){
        .info = EVENT_VALID | EVENT_EXCEPTION | vector | (has_error ? EVENT_ERROR_VALID : 0),
        .error = error,
    };
    vcpu_attn(v, ATTN_EVENT);
}

/* The same while v->event waits: the two merge (SDM "Interrupt 8-Double Fault Exception (#DF)"). A
 * triple fault ends the guest. */
void event_merge(struct Vcpu *v, int vector, uint32_t error, bool protected);

/* Inject a hardware exception at the next entry. protected: the guest is not in real mode. On the
 * vCPU's own CPU. */
static inline void event_exception(struct Vcpu *v, int vector, uint32_t error, bool protected)
{
    if (__builtin_expect(v->event.info & EVENT_VALID, 0))
        event_merge(v, vector, error, protected);
    else
        event_set(v, vector, error, protected);
}

#endif
