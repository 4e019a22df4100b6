/*
 * The monitor's worker: a child env that waits for the file server, so that the monitor and its
 * guest need not. The monitor posts requests, the worker does one after the other, and its message
 * (an event for the monitor) says that some are done.
 */
#ifndef JOS_USER_VMM_DISKWORK_H
#define JOS_USER_VMM_DISKWORK_H

#include <user/vmm/common.h>

/* Start the worker of this monitor, as long as little is in its memory. 0 or -E_*. */
int work_start(void);
/* End it, whatever it does; what it was asked for may be done or not. */
void work_end(void);
/* Is this message the worker's? Then work_done will have something. */
bool work_message(envid_t from);
/* Page for the next request's data; NULL: too many requests are underway. */
void *work_page(void);
/* Let the worker ask FSREQ_DISK_VALUE `value` with that page. */
void work_post(uint64_t value, void *tag);
/* Next request that is done: its tag, the page and the answer, until the next call. false: none. */
bool work_done(void **tag, void **page, int *answer);

#endif
