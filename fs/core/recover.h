/*
 * Quick recovery.
 */
#ifndef JOS_FS_CORE_RECOVER_H
#define JOS_FS_CORE_RECOVER_H

#include <fs/core/fs.h>

/* After a run that did not end cleanly: give back the blocks that no file uses, and files that were
 * removed while they were open, and take names out of directories that should have gone. Call it
 * before anything is changed. Returns how many blocks; -E_CORRUPT, -E_IO, -E_NO_MEM: the disk needs
 * fsck, and the file system is read-only: fs_create, fs_write, fs_truncate and fs_remove give
 * -E_READ_ONLY, and nothing is written. */
int fs_recover(struct Fs *fs);

#endif
