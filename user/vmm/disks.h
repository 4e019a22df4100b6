/*
 * The guest's disks that it has through devices.
 */
#ifndef JOS_USER_VMM_DISKS_H
#define JOS_USER_VMM_DISKS_H

#include <user/vmm/common.h>
#include <user/vmm/dev/virtio/virtio.h>

#define DISKS_MAX 8

/* One more, by its handle at the file server. The first one starts the worker: as long as little is
 * in the monitor's memory. 0 or -E_*. */
int disks_add(int handle, uint64_t size, bool read_only, const char *serial);
/* Plug a virtio-blk function for each of them. 0 or -E_*. */
int disks_plug(const struct VirtioPeer *peer);
/* A message has come to the monitor: is it about disks? Then requests go on. */
bool disks_message(envid_t from);

#endif
