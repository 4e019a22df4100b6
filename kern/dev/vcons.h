/*
 * virtio-console, for gOS.
 */
#ifndef JOS_KERN_DEV_VCONS_H
#define JOS_KERN_DEV_VCONS_H

#include <kern/dev/consdev.h>

/* It is there if the word `virtio` is given and the machine has one. What comes before its
 * interrupts are enabled goes by hypercall. */
extern const struct ConsDev vcons_dev;

#endif
