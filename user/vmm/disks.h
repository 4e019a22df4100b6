/*
 * The guest's disks: which files they are, who asks for their blocks, and the monitor's way to
 * them.
 */
#ifndef JOS_USER_VMM_DISKS_H
#define JOS_USER_VMM_DISKS_H

#include <user/vmm/choices.h>
#include <user/vmm/dev/virtio/virtio.h>

/* Look at the disks' files, before there is a guest. 0, or -E_* after a sentence. */
int disks_check(const struct Options *o);
/* Give the disks to the guest: for devices, but the first one by hypercall unless -V was given or
 * this is Linux. 0, or -E_* after a sentence. */
int disks_attach(envid_t guest, const struct Options *o, bool is_linux);
/* Plug a virtio-blk function for each disk for devices. 0 or -E_*. */
int disks_plug(const struct VirtioPeer *peer);
/* The guest has ended: nothing of its disks is left, so that another one can have them. What their
 * devices were asked for last may be done or not. */
void disks_end(void);
/* A message has come to the monitor: is it about disks? Then requests go on. */
bool disks_message(envid_t from);

#endif
