/*
 * The file system on disk, shared by the file server and the host tools.
 *
 *   block 0            superblock
 *   bitmap_start ...   one bit for each block of the disk, 1 = in use
 *   inode_start ...    table of inodes; number 0 is never used, number 1 is the root directory
 *   data_start ...     file data, directories and indirect blocks
 *
 * A block pointer of 0 is a hole: it reads as zeroes and takes no block. All numbers are little
 * endian. The layout follows from nblocks and ninodes alone, so a superblock can be checked against
 * itself.
 */
#ifndef JOS_FS_CORE_FORMAT_H
#define JOS_FS_CORE_FORMAT_H

#include <inc/fs.h>
#include <inc/fssuper.h>

#define FS_BITS_PER_BLOCK   (BLKSIZE * 8)
#define FS_INODES_PER_BLOCK (BLKSIZE / sizeof(struct FsInode))
#define FS_DIRENTS          (BLKSIZE / sizeof(struct FsDirent)) /* in a block */
#define FS_NDIRECT          24
#define FS_NINDIRECT        (BLKSIZE / sizeof(uint32_t)) /* pointers in a block */
/* Blocks of the largest file: a little more than 4 GiB. */
#define FS_MAXBLOCKS   (FS_NDIRECT + FS_NINDIRECT + FS_NINDIRECT * FS_NINDIRECT)
#define FS_MAXFILESIZE ((uint64_t)FS_MAXBLOCKS * BLKSIZE)

#define FS_MINBLOCKS 16
#define FS_ROOT      1 /* inode of the root directory */

enum FsInodeType {
    FS_FREE = 0,
    FS_FILE = 1,
    FS_DIR = 2,
};

struct FsInode {
    uint32_t i_type;   /* enum FsInodeType */
    uint32_t i_blocks; /* blocks it takes, indirect ones included */
    uint64_t i_size;   /* bytes */
    uint32_t i_orphan; /* 1: removed while in use; no directory names it any more */
    uint32_t i_reserved;
    uint32_t i_direct[FS_NDIRECT];
    uint32_t i_indirect;
    uint32_t i_dindirect;
};
_Static_assert(sizeof(struct FsInode) == 128, "32 inodes fill a block");

/* A directory is a dense array of these: a removed entry is replaced by the last one. Clients see
 * it as struct Dirent, unchanged. */
struct FsDirent {
    char d_name[MAXNAMELEN];
    uint32_t d_type; /* enum FileType */
    uint32_t d_inum;
};
_Static_assert(sizeof(struct FsDirent) == sizeof(struct Dirent),
               "clients read directories as they are");
_Static_assert(offsetof(struct FsDirent, d_type) == offsetof(struct Dirent, d_type), "same place");

/* How many pieces of d cover n. */
static inline uint32_t fs_div_up(uint64_t n, uint32_t d)
{
    return (n + d - 1) / d;
}

#endif
