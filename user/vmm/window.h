/*
 * A window into guest memory: pages of the guest's that its devices use, mapped in the monitor.
 */
#ifndef JOS_USER_VMM_WINDOW_H
#define JOS_USER_VMM_WINDOW_H

#include <user/vmm/common.h>
#include <user/vmm/dev/dma.h>

struct Window {
    envid_t guest;
    struct DmaPeer peer;
};

/* The window of this guest, for dma_init. There is one place for it in the address space, so a
 * monitor has one: what it had of an earlier guest is unmapped. */
void window_init(struct Window *w, envid_t guest);

#endif
