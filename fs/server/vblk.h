/*
 * A virtio-blk disk.
 */
#ifndef JOS_FS_SERVER_VBLK_H
#define JOS_FS_SERVER_VBLK_H

#include <fs/core/disk.h>

/* The first one on the PCI bus. NULL if there is none, or after saying why it cannot be used. */
struct Disk *vblk_disk(void);

#endif
