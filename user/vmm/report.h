/*
 * What is told of a guest that was ended.
 */
#ifndef JOS_USER_VMM_REPORT_H
#define JOS_USER_VMM_REPORT_H

#include <user/vmm/common.h>

/* Say on file descriptor 2 where the guest was, and its trace or at least its last exit. */
void report_end(envid_t guest);

#endif
