/*
 * What all parts of the monitor use: units, and the way to complain.
 */
#ifndef JOS_USER_VMM_COMMON_H
#define JOS_USER_VMM_COMMON_H

#include <inc/lib.h>

#define KIB 1024ul
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

/* A sentence about what went wrong, on file descriptor 2. */
#define complain(fmt, ...) fprintf(2, "vmm: " fmt "\n", ##__VA_ARGS__)

#endif
