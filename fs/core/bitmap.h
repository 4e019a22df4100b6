/*
 * The bitmap of blocks.
 */
#ifndef JOS_FS_CORE_BITMAP_H
#define JOS_FS_CORE_BITMAP_H

#include <fs/core/fs.h>

static inline bool fs_bit_get(const uint8_t *map, uint32_t n)
{
    return map[n / 8] >> n % 8 & 1;
}

static inline void fs_bit_set(uint8_t *map, uint32_t n, bool value)
{
    map[n / 8] = (map[n / 8] & ~(1 << n % 8)) | value << n % 8;
}

/* *out: the bitmap block that has the bit of block b (bit b % FS_BITS_PER_BLOCK). */
int fs_bitmap_of(struct Fs *fs, uint32_t b, uint8_t **out);
/* Count the free blocks. -E_IO. */
int fs_count_free(struct Fs *fs);
/* Is this a block that a file may have? */
static inline bool fs_block_ok(const struct Fs *fs, uint32_t block)
{
    return block >= fs->super.data_start && block < fs->super.nblocks;
}
/* Apply the pending frees to the bitmap. */
int fs_release_pending(struct Fs *fs);
/* First clear bit of a bitmap block in [from, to), or `to`. */
uint32_t fs_find_clear(const uint8_t *map, uint32_t from, uint32_t to);

#endif
