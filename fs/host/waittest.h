/*
 * The stress test's part about requests that must not wait for the disk.
 */
#ifndef JOS_FS_HOST_WAITTEST_H
#define JOS_FS_HOST_WAITTEST_H

/* With the cache's mark cached_only, nothing touches the disk, and what succeeds is right. */
void test_waiting(void);

#endif
