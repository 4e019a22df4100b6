/*
 * The files that are the guest's disks.
 */
#ifndef JOS_USER_VMM_DISKFILES_H
#define JOS_USER_VMM_DISKFILES_H

#include <user/vmm/choices.h>
#include <user/vmm/common.h>

/* Look at the disks' files, before there is a guest. 0, or -E_* after a sentence. */
int disks_check(const struct Options *o);
/* Give the disks to the guest: for devices, but the first one by hypercall unless -V was given or
 * this is Linux. 0, or -E_* after a sentence. */
int disks_attach(envid_t guest, const struct Options *o, bool is_linux);

#endif
