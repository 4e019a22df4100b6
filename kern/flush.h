/*
 * What a CPU does while it waits for another one.
 */
#ifndef JOS_KERN_FLUSH_H
#define JOS_KERN_FLUSH_H

#include <kern/cpu.h>

/* Serve flush requests of other CPUs; from T_IPI_FLUSH and from waits. */
void cpu_flush_poll(void);

/* A turn of a loop that waits for another CPU: what that one may be waiting for, and from time to
 * time what cpu_on_long_wait has been given. turns counts them, from 0 on. */
void cpu_wait_a_turn(uint32_t *turns);
void cpu_on_long_wait(void (*fn)(void));

#endif
