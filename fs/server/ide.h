/*
 * The PC's disk.
 */
#ifndef JOS_FS_SERVER_IDE_H
#define JOS_FS_SERVER_IDE_H

#include <fs/core/disk.h>

/* NULL if there is no disk, after saying why. */
struct Disk *ide_disk(void);

#endif
