/*
 * A debugger for the guest (-g).
 */
#ifndef JOS_USER_VMM_GDB_SESSION_H
#define JOS_USER_VMM_GDB_SESSION_H

#include <user/vmm/common.h>

/* Take the serial port for the guest's debugger. 0, or -E_* after a sentence. If it is open, the
 * guest takes the place of the one before: a gdb that is there finds it stopped at its entry,
 * without breakpoints in it; if none is, the guest goes on. */
int gdb_open(envid_t guest, const char *name);
/* GUEST_EV_SERIAL and GUEST_EV_DEBUG. */
void gdb_input(void);
void gdb_stopped(const struct GuestExit *x);
/* The guest has ended for good, and if not with a status of its own, badly. Once is enough. */
void gdb_ended(int status, bool badly);

#endif
