/*
 * The bitmap: a bit for each block of the disk.
 */
#include <inc/error.h>
#include <inc/string.h>
#include <fs/core/bitmap.h>
#include <fs/core/cache.h>
#include <fs/core/format.h>
#include <fs/core/fs.h>

#define WORD_BITS 64

static uint64_t word_at(const uint8_t *map, uint32_t bit)
{
    uint64_t word;

    __builtin_memcpy(&word, map + bit / 8, sizeof(word)); /* a load, and no call */
    return word;
}

int fs_bitmap_of(struct Fs *fs, uint32_t b, uint8_t **out)
{
    void *p;
    int r = cache_get(&fs->cache, fs->super.bitmap_start + b / FS_BITS_PER_BLOCK, CACHE_READ, &p);

    *out = p;
    return r;
}

uint32_t fs_find_clear(const uint8_t *map, uint32_t from, uint32_t to)
{
    while (from < to) {
        if (from % WORD_BITS == 0 && to - from >= WORD_BITS) {
            uint64_t word = word_at(map, from);
            if (word == ~(uint64_t)0) {
                from += WORD_BITS;
                continue;
            }
            return from + __builtin_ctzll(~word);
        }
        if (!fs_bit_get(map, from))
            return from;
        from++;
    }
    return to;
}

/* Set bits of a word, summed up in pairs, fours and bytes. */
static uint32_t count_set(uint64_t w)
{
    w -= w >> 1 & 0x5555555555555555ul;
    w = (w & 0x3333333333333333ul) + (w >> 2 & 0x3333333333333333ul);
    w = (w + (w >> 4)) & 0x0f0f0f0f0f0f0f0ful;
    return w * 0x0101010101010101ul >> 56;
}

/* Clear bits in [from, to). */
static uint32_t count_clear(const uint8_t *map, uint32_t from, uint32_t to)
{
    uint32_t n = 0;

    while (from < to) {
        if (from % WORD_BITS == 0 && to - from >= WORD_BITS) {
            n += WORD_BITS - count_set(word_at(map, from));
            from += WORD_BITS;
        } else {
            n += !fs_bit_get(map, from++);
        }
    }
    return n;
}

int fs_count_free(struct Fs *fs)
{
    fs->nfree = 0;
    for (uint32_t b = 0; b < fs->super.nblocks; b += FS_BITS_PER_BLOCK) {
        uint8_t *map;
        int r = fs_bitmap_of(fs, b, &map);
        if (r < 0)
            return r;
        uint32_t n = MIN(fs->super.nblocks - b, (uint32_t)FS_BITS_PER_BLOCK);
        uint32_t i = b == 0 ? MIN(fs->super.data_start, n) : 0;
        fs->nfree += count_clear(map, i, n);
    }
    return 0;
}

/* Nothing on disk points to the blocks [from, to) any more. */
static void discard(struct Fs *fs, uint32_t from, uint32_t to)
{
    if (from < to && fs->disk->discard)
        fs->disk->discard(fs->disk, from, to - from);
}

int fs_release_pending(struct Fs *fs)
{
    uint32_t from = 0, to = 0; /* a run of freed blocks */

    for (uint32_t b = 0; b < fs->super.nblocks && fs->npending; b++) {
        uint8_t *map;
        if (b % WORD_BITS == 0 && fs->super.nblocks - b >= WORD_BITS &&
            word_at(fs->pending, b) == 0) {
            b += WORD_BITS - 1;
            continue;
        }
        if (!fs_bit_get(fs->pending, b))
            continue;
        int r = fs_bitmap_of(fs, b, &map);
        if (r < 0)
            return r;
        fs_bit_set(map, b % FS_BITS_PER_BLOCK, false);
        cache_dirty(&fs->cache, map, BC_BITMAP);
        fs_bit_set(fs->pending, b, false);
        fs->npending--;
        fs->nfree++;
        if (b != to) {
            discard(fs, from, to);
            from = b;
        }
        to = b + 1;
    }
    discard(fs, from, to);
    return 0;
}
