/*
 * Starting the other CPUs.
 */
#ifndef JOS_KERN_MP_H
#define JOS_KERN_MP_H

#include <inc/types.h>

/* Start the other CPUs of the machine. Returns when they are idle. */
void mp_init(void);

#endif
