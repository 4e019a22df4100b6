/*
 * The console's serial line: a 16550 on COM1.
 */
#ifndef JOS_KERN_DEV_SERIAL_H
#define JOS_KERN_DEV_SERIAL_H

#include <kern/dev/consdev.h>

extern const struct ConsDev serial_dev;

#endif
