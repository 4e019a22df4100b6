/*
 * The guest's disks that it has through devices.
 */
#ifndef JOS_USER_VMM_DISKS_H
#define JOS_USER_VMM_DISKS_H

#include <user/vmm/choices.h>
#include <user/vmm/common.h>
#include <user/vmm/dev/virtio/virtio.h>

/* One more, by its handle at the file server. The first one starts the worker: as long as little is
 * in the monitor's memory. 0 or -E_*. */
int disks_add(int handle, uint64_t size, bool read_only, const char *serial);
/* Plug a virtio-blk function for each of them. 0 or -E_*. */
int disks_plug(const struct VirtioPeer *peer);
/* The guest has ended: nothing of its disks is left, so that another one can have them. What their
 * devices were asked for last may be done or not. */
void disks_end(void);
/* A message has come to the monitor: is it about disks? Then requests go on. */
bool disks_message(envid_t from);

#endif
