/*
 * What is on a disk, by its first bytes.
 */
#ifndef JOS_USER_MKDISK_PROBE_H
#define JOS_USER_MKDISK_PROBE_H

#include <inc/lib.h>

/* A disk, or a part of one. */
struct Area {
    int fd;
    uint64_t start, size; /* in bytes */
};

/* Print a line about what the area holds, each after `indent` blanks; for a disk with partitions,
 * a line for each of those too. 0, or -E_* if it cannot be read. */
int probe(const struct Area *a, int indent);

#endif
