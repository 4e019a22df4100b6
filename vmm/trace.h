/*
 * Traces: what a guest's last exits were.
 */
#ifndef JOS_VMM_TRACE_H
#define JOS_VMM_TRACE_H

#include <inc/env.h>

struct Vcpu;

/* Note what is known of the exit that has just happened and was counted, and, when its handler has
 * returned `again`, what became of it: the two together add an entry to the trace. Nothing if the
 * guest is not traced. */
void trace_exit(struct Vcpu *v);
void trace_action(struct Vcpu *v, bool again);
/* How many exits its trace keeps; 0: it has none. */
size_t trace_size(const struct Vcpu *v);
void trace_free(struct Vcpu *v);

/* For the kernel monitor and crash reports: counters of all guests by reason on the console, and
 * with n > 0 the last n exits of those that are traced. Takes no locks. */
void guests_print_exits(size_t n);

/* System calls (inc/lib.h has the contracts). */
int64_t sys_guest_trace_start(envid_t guest, size_t n);
int64_t sys_guest_trace(envid_t guest, uintptr_t first, uintptr_t entries, size_t n);

#endif
