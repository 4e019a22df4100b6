/*
 * The superblock: the layout of a disk.
 */
#ifndef JOS_FS_CORE_SUPER_H
#define JOS_FS_CORE_SUPER_H

#include <fs/core/format.h>

/* Fill in the layout for a disk of nblocks, with about one inode for every four blocks. */
void fs_layout(struct FsSuper *s, uint32_t nblocks);
uint32_t fs_super_sum(const struct FsSuper *s);
/* Words for what is wrong with a superblock on a disk of disk_blocks, NULL if nothing is. */
const char *fs_super_check(const struct FsSuper *s, uint32_t disk_blocks);

#endif
