/*
 * gOS's disk: the image that the monitor gave to this guest.
 */
#ifndef JOS_FS_SERVER_HOSTDISK_H
#define JOS_FS_SERVER_HOSTDISK_H

#include <fs/core/disk.h>

/* NULL if there is no disk, after saying why. */
struct Disk *host_disk(void);

#endif
