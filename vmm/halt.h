/*
 * HLT.
 */
#ifndef JOS_VMM_HALT_H
#define JOS_VMM_HALT_H

#include <inc/types.h>

struct Vcpu;

/* A guest in HLT goes on only with an interrupt that it can take. true: it has one; false: it has
 * been put to sleep. */
bool vcpu_halt_is_over(struct Vcpu *v);
/* Can the guest go on, or has it executed HLT and nothing has come? Then it has been put to sleep.
 */
bool vcpu_is_awake(struct Vcpu *v);

#endif
