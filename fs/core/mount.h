/*
 * Making and mounting a file system.
 */
#ifndef JOS_FS_CORE_MOUNT_H
#define JOS_FS_CORE_MOUNT_H

#include <fs/core/fs.h>

/* Make an empty file system on a disk that reads as zeroes, and mount it. */
int fs_format(struct Fs *fs, struct Disk *disk, uint32_t cache_blocks);
/* Read the superblock and count free blocks. -E_CORRUPT, -E_IO, -E_NO_MEM. */
int fs_mount(struct Fs *fs, struct Disk *disk, uint32_t cache_blocks);

#endif
