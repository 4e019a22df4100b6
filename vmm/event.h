/*
 * Events that enter a guest: exceptions, NMIs and interrupts, and how those merge that meet.
 * Intel's and AMD's encodings are the same but for two types (SDM "Format of the VM-Entry
 * Interruption-Information Field"; APM 2 "Event Injection").
 */
#ifndef JOS_VMM_EVENT_H
#define JOS_VMM_EVENT_H

#include <inc/types.h>

#define EVENT_VECTOR        0xffu
#define EVENT_TYPE          0x700u
#define EVENT_EXTINT        0x000u
#define EVENT_NMI           0x200u
#define EVENT_EXCEPTION     0x300u /* raised by the CPU */
#define EVENT_SOFT_INT      0x400u /* INT n */
#define EVENT_PRIV_EXC      0x500u /* INT1; Intel only */
#define EVENT_SOFT_EXC      0x600u /* INT3, INTO; Intel only */
#define EVENT_ERROR_VALID   (1u << 11)
#define EVENT_NMI_UNBLOCKED (1u << 12) /* of an exit: Intel only */
#define EVENT_VALID         (1u << 31)

/* An event to inject. */
struct Event {
    uint32_t info; /* EVENT_*; 0: none */
    uint32_t error;
    uint32_t length; /* of the instruction, for software interrupts and exceptions */
};

#endif
