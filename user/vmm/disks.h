/*
 * The guest's disks: which files they are, who asks for their blocks, and the monitor's way to
 * them.
 */
#ifndef JOS_USER_VMM_DISKS_H
#define JOS_USER_VMM_DISKS_H

#include <user/vmm/options.h>

/* A disk that the guest uses through a device. */
struct Disk {
    int handle;    /* for the file server */
    uint64_t size; /* in bytes, whole sectors */
    bool read_only;
    char serial[DISK_SERIAL_MAX + 1];
};

/* Look at the disks' files, before there is a guest. 0, or -E_* after a sentence. */
int disks_check(const struct Options *o);
/* Give the disks to the guest: for devices, but the first one by hypercall unless -V was given or
 * this is Linux. 0, or -E_* after a sentence. */
int disks_attach(envid_t guest, const struct Options *o, bool is_linux);
/* Disk n of those for devices; NULL: there are no more. */
const struct Disk *disk_for_device(unsigned n);

/* Ask the file server for something (FSREQ_DISK_*) that is done without waiting for the disk:
 * -E_AGAIN otherwise. The page is writable and the monitor's own. */
int disk_now(const struct Disk *d, unsigned req, uint64_t sector, unsigned n, void *page);

#endif
