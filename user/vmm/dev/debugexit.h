/*
 * The debug exit: a port that ends the guest with the status that is written to it.
 */
#ifndef JOS_USER_VMM_DEV_DEBUGEXIT_H
#define JOS_USER_VMM_DEV_DEBUGEXIT_H

#include <user/vmm/dev/power.h>

struct DebugExit {
    struct Device device;
    const struct PowerSwitch *power;
};

/* Add it to the bus. 0 or -E_*. */
int debugexit_add(struct DebugExit *x, struct BusSpace *ports, const struct PowerSwitch *power);

#endif
