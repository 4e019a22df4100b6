/*
 * What the user wants of a guest: the command line of vmm, after it was checked.
 */
#ifndef JOS_USER_VMM_CHOICES_H
#define JOS_USER_VMM_CHOICES_H

#include <inc/fs.h>
#include <user/vmm/features.h>

#define MAX_DISKS       8
#define DISK_SERIAL_MAX 20 /* bytes of a serial number */

struct DiskOption {
    const char *path;
    bool read_only;
    char serial[DISK_SERIAL_MAX + 1];
};

/* Which cards it gets besides the usual ones. */
struct CardOptions {
    bool loopback; /* a network card that hears what it sends */
};

struct Options {
    const char *name;
    const char *kernel; /* NULL: not given */
    struct DiskOption disks[MAX_DISKS];
    unsigned ndisks;
    bool virtio;            /* the first disk is a device's, too */
    char image[MAXPATHLEN]; /* without -d: what this guest writes to GUEST_DISK */
    uint64_t limit;         /* bytes that a disk may take of the host's; 0: all of its own */
    int flags;              /* for sys_env_mkguest */
    bool restart;           /* after a reset */
    struct CpuWords features_off;
    bool stats;
    struct CardOptions cards;
    size_t trace; /* exits to keep; 0: none */
};

#endif
