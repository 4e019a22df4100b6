/*
 * Checking and repairing a file system: the engine of fsck.
 */
#ifndef JOS_FS_HOST_CHECK_H
#define JOS_FS_HOST_CHECK_H

#include <fs/core/fs.h>

enum CheckResult {
    CHECK_CLEAN = 0,
    CHECK_REPAIRED = 1, /* there were problems; all are repaired */
    CHECK_PROBLEMS = 2, /* there are problems left */
};

/* Check everything on a disk; with repair, make it consistent. Problems are printed in words. *fs
 * is mounted and the caller's to fs_unmount unless the superblock is beyond repair (then *mounted
 * is false). */
enum CheckResult fs_check(struct Fs *fs, struct Disk *disk, bool repair, bool *mounted);

/* All entries of a directory, from malloc; *n: how many. */
struct FsDirent *read_entries(struct Fs *fs, uint32_t inum, size_t *n);

#endif
