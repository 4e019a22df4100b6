/*
 * What the parts of the file system's stress test share.
 */
#ifndef JOS_FS_HOST_HOSTTEST_H
#define JOS_FS_HOST_HOSTTEST_H

#include <fs/host/check.h>
#include <fs/host/hostdev.h>

#define CHECK(x)                                                        \
    do {                                                                \
        if (!(x))                                                       \
            die("seed %lu, line %d: not true: %s", seed, __LINE__, #x); \
    } while (0)

extern unsigned long seed;
/* 64 random bits, and a random number below n; all follow from the seed. */
uint64_t rng(void);
uint64_t below(uint64_t n);

#endif
