/*
 * The command line of vmm.
 */
#ifndef JOS_USER_VMM_OPTIONS_H
#define JOS_USER_VMM_OPTIONS_H

#include <user/vmm/boot.h>
#include <user/vmm/cards.h>
#include <user/vmm/features.h>

#define STATUS_USAGE 2 /* exit status on wrong usage */

#define MAX_DISKS       8
#define DISK_SERIAL_MAX 20 /* bytes of a serial number */

struct DiskOption {
    const char *path;
    bool read_only;
    char serial[DISK_SERIAL_MAX + 1];
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

/* Fill in what the command line says, and defaults for the rest. Returns 0, or STATUS_USAGE after a
 * sentence. */
int parse_options(int argc, char **argv, struct Options *o, struct Boot *b);

#endif
