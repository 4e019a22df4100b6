/*
 * The user's side of several guests.
 */
#ifndef JOS_USER_VMM_CONTROL_H
#define JOS_USER_VMM_CONTROL_H

#include <user/vmm/common.h>

/* Run the subcommand that argv names (vmm attach, ...). -1: it is none. Returns the exit status. */
int control(int argc, char **argv);
/* May a guest have this name? It is the name of a file, too. */
bool name_ok(const char *name);
/* Leave the console to the monitor that this process has started, until the monitor gives it back
 * or the guest ends. Returns the exit status. */
int await_monitor(envid_t monitor, const char *name);

#endif
