/*
 * Random bytes for guests.
 */
#ifndef JOS_USER_VMM_RANDOM_H
#define JOS_USER_VMM_RANDOM_H

#include <inc/types.h>

/* Fill n bytes: by the CPU's RDRAND instruction, or else by numbers that begin with the clock,
 * which the user is told once. */
void random_fill(void *buf, size_t n);

#endif
