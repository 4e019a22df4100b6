/*
 * The stress test's part about thin disks.
 */
#ifndef JOS_FS_HOST_THINTEST_H
#define JOS_FS_HOST_THINTEST_H

#include <inc/types.h>

/* A disk that has less space than blocks is full most of the time. */
void test_thin(bool full);

#endif
