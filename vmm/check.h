/*
 * The checker of VM entries: before an entry, with the word vmxcheck, and after one that has
 * failed. The rules are the back end's.
 */
#ifndef JOS_VMM_CHECK_H
#define JOS_VMM_CHECK_H

struct Vcpu;

/* Turn the checker on for a new guest if the command line says so. */
void check_new_guest(struct Vcpu *v);
/* Check before an entry of v, and ask for the same before the next one. A guest whose control block
 * breaks a rule is reported once. */
void check_entry(struct Vcpu *v);
/* The entry of v has failed: say which rules it breaks, unless check_entry has done so. */
void check_failed_entry(struct Vcpu *v);
/* v ends: how many entries have been checked. */
void check_summary(const struct Vcpu *v);

#endif
