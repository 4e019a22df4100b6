/*
 * Writing back.
 */
#ifndef JOS_FS_CORE_SYNC_H
#define JOS_FS_CORE_SYNC_H

#include <fs/core/fs.h>

/* Write everything that was changed; leaves the disk marked clean. -E_IO. */
int fs_sync(struct Fs *fs);
/* The same without the mark. Makes blocks and inodes that were freed available again. */
int fs_writeback(struct Fs *fs);
/* Write the blocks of class BC_MOVED; they are safe on disk when this returns. -E_IO. */
int fs_write_moved(struct Fs *fs);
/* Write back if much of the cache is dirty; called between the steps of long operations. -E_IO;
 * -E_AGAIN: it is, and the cache is not to wait for the disk (cached_only). */
int fs_make_room(struct Fs *fs);
/* May a request change something now? On a disk that may have less space than blocks, what it makes
 * dirty must find room there; to add something is refused earlier than to remove something. The
 * steps of the request itself ask no more. At most a write of FSWRITE_MAX bytes, or one change of a
 * file's size or of a directory. -E_NO_DISK, -E_IO. */
int fs_may_change(struct Fs *fs, bool adds);
/* Blocks that can be had for new data, now or after a write-back. */
uint32_t fs_free_blocks(const struct Fs *fs);

#endif
