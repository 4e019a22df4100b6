/*
 * Statistics of a guest that has ended.
 */
#ifndef JOS_USER_VMM_STATS_H
#define JOS_USER_VMM_STATS_H

#include <user/vmm/common.h>

/* Print the counters (-s). */
void stats_print(const struct GuestStats *st);

#endif
