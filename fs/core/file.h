/*
 * Files: the blocks and the bytes of an inode.
 */
#ifndef JOS_FS_CORE_FILE_H
#define JOS_FS_CORE_FILE_H

#include <fs/core/fs.h>

struct FsStat {
    uint64_t size;
    uint32_t type; /* enum FileType */
    uint32_t blocks;
};

/* Disk block of block fb of a file; *out = 0 for a hole. */
int fs_bmap(struct Fs *fs, const struct FsInode *ip, uint64_t fb, uint32_t *out);
/* Returns the bytes read: fewer than n only at the end of the file. */
ssize_t fs_read(struct Fs *fs, uint32_t inum, void *buf, size_t n, uint64_t off);
/* Returns the bytes written: all, or those that fitted. -E_NO_DISK: none; -E_TOO_BIG. A directory's
 * data is written only by dir.c. */
ssize_t fs_write(struct Fs *fs, uint32_t inum, const void *buf, size_t n, uint64_t off);
/* How many blocks a write to block fb of a file has to allocate, its tables included. */
int fs_missing(struct Fs *fs, uint32_t inum, uint64_t fb);
/* How many tables a file of nblocks lacks, if all of these were to be written. */
int fs_tables_missing(struct Fs *fs, uint32_t inum, uint64_t nblocks);
/* Free n blocks of a file from block fb on: they become holes. The size stays. */
int fs_punch(struct Fs *fs, uint32_t inum, uint64_t fb, uint64_t n);
/* -E_TOO_BIG */
int fs_truncate(struct Fs *fs, uint32_t inum, uint64_t size);
int fs_stat(struct Fs *fs, uint32_t inum, struct FsStat *st);

/* Free an inode and all its blocks. */
int fs_inode_free(struct Fs *fs, uint32_t inum);

#endif
