/*
 * Traces: what a guest's last exits were.
 */
#ifndef JOS_VMM_TRACE_H
#define JOS_VMM_TRACE_H

#include <inc/types.h>

struct Vcpu;

/* Note what is known of the exit that has just happened and was counted, and, when its handler has
 * returned `again`, what became of it: the two together add an entry to the trace. Nothing if the
 * guest is not traced. */
void trace_exit(struct Vcpu *v);
void trace_action(struct Vcpu *v, bool again);
/* How many exits its trace keeps; 0: it has none. */
size_t trace_size(const struct Vcpu *v);
void trace_free(struct Vcpu *v);

#endif
