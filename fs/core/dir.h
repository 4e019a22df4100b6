/*
 * Directories and paths.
 */
#ifndef JOS_FS_CORE_DIR_H
#define JOS_FS_CORE_DIR_H

#include <fs/core/fs.h>

/* *out: an entry of a directory, in the cache (see CACHE_GRACE). -E_CORRUPT. */
int fs_dirent(struct Fs *fs, uint32_t dir, uint32_t place, struct FsDirent **out);

/* Paths have components separated by '/'; all start at the root. -E_NOT_FOUND, -E_NOT_DIR,
 * -E_BAD_PATH. */
int fs_lookup(struct Fs *fs, const char *path, uint32_t *inum);
/* A new file or directory. -E_FILE_EXISTS, -E_NO_DISK and those of fs_lookup. */
int fs_create(struct Fs *fs, const char *path, enum FsInodeType type, uint32_t *inum);
/* Remove a file or an empty directory; one that is in use loses its name now and its blocks at
 * fs_release. -E_NOT_EMPTY, -E_BUSY (the root). */
int fs_remove(struct Fs *fs, const char *path);
/* Take the entry at this place out of a directory; the inode stays as it is. */
int fs_dirent_remove(struct Fs *fs, uint32_t dir, uint32_t place);
/* Nobody uses this inode any more: if its last name has gone, it is freed now. */
int fs_release(struct Fs *fs, uint32_t inum);
/* Is this a name that a directory entry may have? (It is terminated, not empty, and has no '/'.) */
bool fs_name_ok(const char *name);

#endif
