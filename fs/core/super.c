/*
 * The superblock. The layout of a disk follows from its size alone.
 */
#include <inc/string.h>
#include <fs/core/format.h>
#include <fs/core/super.h>

#define BLOCKS_PER_INODE 4 /* mkfs makes one inode for so many blocks */

void fs_layout(struct FsSuper *s, uint32_t nblocks)
{
    *s = (struct FsSuper){
        .magic = FS_MAGIC, .version = FS_VERSION, .nblocks = nblocks, .clean = 1
    };
    s->bitmap_start = 1;
    s->bitmap_blocks = fs_div_up(nblocks, FS_BITS_PER_BLOCK);
    s->inode_start = s->bitmap_start + s->bitmap_blocks;
    s->inode_blocks = fs_div_up(fs_div_up(nblocks, BLOCKS_PER_INODE), FS_INODES_PER_BLOCK);
    s->ninodes = s->inode_blocks * FS_INODES_PER_BLOCK;
    s->data_start = s->inode_start + s->inode_blocks;
    s->checksum = -fs_super_sum(s);
}

uint32_t fs_super_sum(const struct FsSuper *s)
{
    uint32_t word[sizeof(*s) / sizeof(uint32_t)], sum = 0;

    memcpy(word, s, sizeof(word));
    for (size_t i = 0; i < ARRAY_SIZE(word); i++)
        sum += word[i];
    return sum;
}

const char *fs_super_check(const struct FsSuper *s, uint32_t disk_blocks)
{
    struct FsSuper want;

    if (s->magic != FS_MAGIC)
        return "no file system here";
    if (s->version != FS_VERSION)
        return "a version of the file system that this program does not know";
    if (fs_super_sum(s) != 0)
        return "the superblock's checksum is wrong";
    if (s->nblocks < FS_MINBLOCKS || s->nblocks > disk_blocks)
        return "the file system is larger than the disk";
    if (s->clean > 1)
        return "the superblock's clean mark is neither 0 nor 1";
    fs_layout(&want, s->nblocks);
    want.clean = s->clean;
    want.checksum = s->checksum;
    if (memcmp(&want, s, sizeof(want)) != 0)
        return "the superblock's layout contradicts itself";
    return NULL;
}
