/*
 * The registers by which kernels restart a machine: the three ways to reset a PC.
 */
#ifndef JOS_USER_VMM_DEV_POWER_H
#define JOS_USER_VMM_DEV_POWER_H

#include <user/vmm/dev/bus.h>

/* What becomes of the machine then. */
struct PowerSwitch {
    void (*off)(int status);
    void (*reset)(uint16_t port);
};

struct Power {
    struct Device device;
    const struct PowerSwitch *power;
};

/* Add it to the bus, at all its ports. 0 or -E_*. */
int power_add(struct Power *p, struct BusSpace *ports, const struct PowerSwitch *power);

#endif
