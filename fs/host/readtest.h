/*
 * The stress test's part about long reads.
 */
#ifndef JOS_FS_HOST_READTEST_H
#define JOS_FS_HOST_READTEST_H

/* Reads of many blocks at once: few commands to the disk, exact at errors, and no harm to what is
 * in the cache. */
void test_long_reads(void);

#endif
