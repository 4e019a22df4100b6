/*
 * The file system itself, independent of where it runs: compiled for the server and for the host
 * tools. Functions return 0 or more, or -E_*. Nothing on the disk is trusted: what makes no sense
 * is -E_CORRUPT, with words.
 */
#ifndef JOS_FS_CORE_H
#define JOS_FS_CORE_H

#include <fs/core/cache.h>
#include <fs/core/format.h>

/* Where the entries of large directories are (index.c). */
struct DirIndex {
    struct IndexNode {
        uint32_t hash;  /* of directory and name */
        uint32_t dir;   /* inode of the directory */
        uint32_t place; /* of the entry in it */
        uint32_t next;  /* node of the same bucket; 0: none */
    } * node;
    uint32_t *bucket;    /* first node of each */
    uint8_t *whole;      /* bit for each inode: a directory whose entries are all here */
    uint32_t nused;      /* nodes below this one have been used */
    uint32_t ncommitted; /* nodes that have memory */
    uint32_t free;       /* list of nodes that are free again */
    uint32_t limit;      /* nodes that there may be; 0: as many as a server should have */
};

struct Fs {
    struct Disk *disk;
    struct Cache cache;
    struct FsSuper super;
    uint32_t nfree;    /* blocks that the bitmap shows as free */
    uint32_t kept;     /* of these, blocks that are promised to somebody: fs_reserve leaves them */
    uint32_t npending; /* blocks that were freed, but may still be pointed to on disk */
    uint8_t *pending;  /* bit for each of these */
    uint32_t block_hint; /* where the search for a free block starts */
    uint32_t inode_hint;
    uint32_t nipending; /* inodes freed since the last write-back; not reused before the next one */
    uint8_t *ipending;
    uint32_t norphans; /* removed files that are still in use */
    bool read_only;    /* recovery failed: the bitmap may be wrong, so nothing is written */
    uint32_t complaints;
    struct DirIndex index;
    /* Is this inode open? Set by the owner of the structure; NULL: none ever is. */
    bool (*in_use)(uint32_t inum);
};

struct FsStat {
    uint64_t size;
    uint32_t type; /* enum FileType */
    uint32_t blocks;
};

/* ---- super.c ---- */

/* Fill in the layout for a disk of nblocks, with about one inode for every four blocks. */
void fs_layout(struct FsSuper *s, uint32_t nblocks);
uint32_t fs_super_sum(const struct FsSuper *s);
/* Words for what is wrong with a superblock on a disk of disk_blocks, NULL if nothing is. */
const char *fs_super_check(const struct FsSuper *s, uint32_t disk_blocks);
/* Make an empty file system on a disk that reads as zeroes, and mount it. */
int fs_format(struct Fs *fs, struct Disk *disk, uint32_t cache_blocks);
/* Read the superblock and count free blocks. -E_CORRUPT, -E_IO, -E_NO_MEM. */
int fs_mount(struct Fs *fs, struct Disk *disk, uint32_t cache_blocks);
/* Write everything that was changed; leaves the disk marked clean. -E_IO. */
int fs_sync(struct Fs *fs);
/* The same without the mark. Makes blocks and inodes that were freed available again. */
int fs_writeback(struct Fs *fs);
/* Write the blocks of class BC_MOVED; they are safe on disk when this returns. -E_IO. */
int fs_write_moved(struct Fs *fs);
/* Write back if much of the cache is dirty; called between the steps of long operations. */
int fs_make_room(struct Fs *fs);
/* May a request change something now? On a disk that may have less space than blocks, what it makes
 * dirty must find room there; to add something is refused earlier than to remove something. The
 * steps of the request itself ask no more. At most a write of FSWRITE_MAX bytes, or one change of a
 * file's size or of a directory. -E_NO_DISK, -E_IO. */
int fs_may_change(struct Fs *fs, bool adds);
/* Blocks that can be had for new data, now or after a write-back. */
uint32_t fs_free_blocks(const struct Fs *fs);
/* Say what is corrupt (a limited number of times); returns -E_CORRUPT. */
int fs_complain(struct Fs *fs, const char *what, uint64_t number);

/* ---- alloc.c ---- */

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
/* Make sure that n blocks can be allocated. -E_NO_DISK. */
int fs_reserve(struct Fs *fs, uint32_t n);
/* Take a free block, near the last one. -E_NO_DISK. */
int fs_block_alloc(struct Fs *fs, uint32_t *out);
/* Give a block back; it is not reused before the next write-back. */
int fs_block_free(struct Fs *fs, uint32_t block);
/* Apply the pending frees to the bitmap. */
int fs_release_pending(struct Fs *fs);
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
/* Free an inode and all its blocks. */
int fs_inode_free(struct Fs *fs, uint32_t inum);

/* ---- recover.c ---- */

/* After a run that was cut short: give back the blocks that no file uses, and files that were
 * removed while they were open, and take names out of directories that should have gone. Call it
 * before anything is changed. Returns how many blocks; -E_CORRUPT, -E_IO, -E_NO_MEM: the disk needs
 * fsck, and the file system is read-only: fs_create, fs_write, fs_truncate and fs_remove give
 * -E_READ_ONLY, and nothing is written. */
int fs_recover(struct Fs *fs);

/* ---- file.c ---- */

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

/* ---- index.c: all but index_build do nothing for a directory that is not in the index ---- */

/* Enter a directory, which has so many entries. -E_NO_MEM: it does not fit; and errors of reading.
 */
int index_build(struct Fs *fs, uint32_t dir, uint32_t count);
bool index_has(const struct Fs *fs, uint32_t dir);
/* A place where the directory, which is in the index, may have this name: the first one if `after`
 * is 0, else the one behind that. Returns what to pass as `after`; 0: no more. */
uint32_t index_find(const struct Fs *fs, uint32_t dir, const char *name, uint32_t after,
                    uint32_t *place);
/* An entry has come, has gone, has been moved. */
void index_add(struct Fs *fs, uint32_t dir, const char *name, uint32_t place);
void index_remove(struct Fs *fs, uint32_t dir, const char *name, uint32_t place);
void index_move(struct Fs *fs, uint32_t dir, const char *name, uint32_t from, uint32_t to);
/* Forget everything, as when an operation on a directory stopped halfway. */
void index_forget(struct Fs *fs);

/* ---- dir.c ---- */

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
/* Nobody uses this inode any more: if it was removed meanwhile, it goes away now. */
int fs_release(struct Fs *fs, uint32_t inum);
/* Is this a name that a directory entry may have? (It is terminated, not empty, and has no '/'.) */
bool fs_name_ok(const char *name);

#endif
