/*
 * The stress test's part about power failures.
 */
#ifndef JOS_FS_HOST_CUTTEST_H
#define JOS_FS_HOST_CUTTEST_H

#include <inc/types.h>

/* The power fails after each write (full: really each) of several workloads. */
void test_cuts(bool full);

#endif
