/*
 * Random numbers that a seed repeats.
 */
#ifndef JOS_USER_VMM_HOST_RANDOM_H
#define JOS_USER_VMM_HOST_RANDOM_H

#include <inc/types.h>

void random_start(uint64_t seed);
uint64_t random_bits(void);
/* 0 to n - 1; n is not 0. */
uint64_t random_below(uint64_t n);

#endif
