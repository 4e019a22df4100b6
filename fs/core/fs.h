/*
 * The file system itself, independent of where it runs: compiled for the server and for the host
 * tools. Functions return 0 or more, or -E_*. Nothing on the disk is trusted: what makes no sense
 * is -E_CORRUPT, with words.
 */
#ifndef JOS_FS_CORE_FS_H
#define JOS_FS_CORE_FS_H

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

/* Say what is corrupt (a limited number of times); returns -E_CORRUPT. */
int fs_complain(struct Fs *fs, const char *what, uint64_t number);

#endif
