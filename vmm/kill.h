/*
 * The end of a guest.
 */
#ifndef JOS_VMM_KILL_H
#define JOS_VMM_KILL_H

struct Vcpu;

/* End the guest: it never runs again, and its monitor hears the reason. Safe at any time and twice:
 * the first reason stays. */
void guest_kill(struct Vcpu *v, const char *fmt, ...) __attribute__((format(printf, 2, 3), cold));
/* The same for the monitor, which is the current env and has locked the guest's env. */
void guest_doom(struct Vcpu *v, const char *why);

#endif
