/*
 * Exits in words, for the kernel and for programs (lib/vmexit.c).
 */
#ifndef JOS_INC_VMTRACE_H
#define JOS_INC_VMTRACE_H

#include <inc/vmm.h>

#define VMTRACE_LINE 200 /* bytes that are always enough for vmtrace_line */

/* Name of an enum GuestExitReason as programs like it ("CPUID"), and what happened in words. Never
 * NULL. */
const char *vmexit_name(uint32_t reason);
const char *vmexit_words(uint32_t reason);
/* What a guest has looked for in vain, a line each, indented: ports, memory and MSRs. Calls print
 * with each line, without its end. */
void vmstats_unknown(const struct GuestStats *st, void (*print)(const char *line));
/* Name and words of an enum GuestAction. */
const char *vmaction_name(uint32_t action);
/* What an exit was about, "" if the reason says all. */
void vmtrace_detail(char *buf, size_t size, const struct GuestTraceEntry *e);
/* What came next, in words, with an injected event's vector. */
void vmtrace_action(char *buf, size_t size, const struct GuestTraceEntry *e);
/* One line for exit number n: number, ticks, RIP, reason, detail, action. */
void vmtrace_line(char *buf, size_t size, uint64_t n, const struct GuestTraceEntry *e);

#endif
