/*
 * The first block of a file system on disk, by which it is known. The rest of the format is in
 * fs/core/format.h.
 */
#ifndef JOS_INC_FSSUPER_H
#define JOS_INC_FSSUPER_H

#include "types.h"

#define FS_MAGIC   0x46534f4aU /* "JOSF" */
#define FS_VERSION 1

struct FsSuper {
    uint32_t magic;
    uint32_t version;
    uint32_t nblocks; /* of the whole file system, block 0 included */
    uint32_t bitmap_start, bitmap_blocks;
    uint32_t inode_start, inode_blocks;
    uint32_t data_start;
    uint32_t ninodes;
    uint32_t clean;    /* 1: everything that was changed has been written */
    uint32_t checksum; /* makes the sum of all words of the structure 0 */
};
_Static_assert(sizeof(struct FsSuper) == 44, "superblock");

#endif
