/*
 * gOS's console, by hypercall.
 */
#ifndef JOS_KERN_DEV_HVCONS_H
#define JOS_KERN_DEV_HVCONS_H

#include <kern/dev/consdev.h>

extern const struct ConsDev hv_dev;

#endif
