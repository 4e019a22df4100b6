/*
 * Taking and giving back blocks and inodes.
 */
#ifndef JOS_FS_CORE_ALLOC_H
#define JOS_FS_CORE_ALLOC_H

#include <fs/core/fs.h>

/* Make sure that n blocks can be allocated. -E_NO_DISK. */
int fs_reserve(struct Fs *fs, uint32_t n);
/* Take a free block, near the last one. -E_NO_DISK. */
int fs_block_alloc(struct Fs *fs, uint32_t *out);
/* Give a block back; it is not reused before the next write-back. */
int fs_block_free(struct Fs *fs, uint32_t block);
/* *out: inode inum in the cache (see CACHE_GRACE). -E_CORRUPT if there is no such number. */
int fs_inode(struct Fs *fs, uint32_t inum, struct FsInode **out);
/* Inode inum if it is in the cache; NULL: it is not, or there is no such number. */
ALWAYS_INLINE struct FsInode *fs_inode_cached(struct Fs *fs, uint32_t inum)
{
    struct FsInode *table;

    if (inum < FS_ROOT || inum >= fs->super.ninodes)
        return NULL;
    table = cache_find(&fs->cache, fs->super.inode_start + inum / FS_INODES_PER_BLOCK);
    return table ? &table[inum % FS_INODES_PER_BLOCK] : NULL;
}
/* What is wrong with an inode that should be in use; NULL: nothing. */
ALWAYS_INLINE const char *fs_inode_flaw(const struct FsInode *ip)
{
    if (ip->i_type != FS_FILE && ip->i_type != FS_DIR)
        return "an inode in use is marked free or has no known type";
    if (ip->i_size > FS_MAXFILESIZE)
        return "an inode has an impossible size";
    if (ip->i_type == FS_DIR && ip->i_size % sizeof(struct FsDirent))
        return "a directory's size is not a whole number of entries";
    return NULL;
}
/* As fs_inode, and it is in use and makes sense. */
int fs_inode_used(struct Fs *fs, uint32_t inum, struct FsInode **out);
void fs_inode_dirty(struct Fs *fs, struct FsInode *ip);
/* A new, empty inode. -E_NO_DISK: all are taken. */
int fs_inode_alloc(struct Fs *fs, enum FsInodeType type, uint32_t *out);

#endif
