/*
 * What the file system needs from its surroundings: a disk, memory and a place for words. The
 * server provides them in fs/server/ide.c, fs/server/hostdisk.c, fs/server/vblk.c and
 * fs/server/serv.c; the host tools in fs/host/hostdev.c.
 */
#ifndef JOS_FS_CORE_DISK_H
#define JOS_FS_CORE_DISK_H

#include <inc/types.h>

/* A disk of BLKSIZE blocks. The functions return 0 or -E_*, and have then printed why. */
struct Disk {
    const char *name;
    uint32_t nblocks;
    uint32_t max_run; /* blocks that one transfer may have */
    /* Transfer n contiguous blocks from `block` on; page[i] is the memory of block + i. */
    int (*read)(struct Disk *d, uint32_t block, uint32_t n, void *const page[]);
    int (*write)(struct Disk *d, uint32_t block, uint32_t n, void *const page[]);
    /* Everything written before is safe when this returns. */
    int (*flush)(struct Disk *d);
    /* For a disk that may have less space than blocks; else NULL. */
    /* How many blocks that it does not store yet can be written for certain, at least as far as
     * `want` is concerned. */
    uint32_t (*room)(struct Disk *d, uint32_t want);
    /* What n blocks from `block` on hold will not be read until they are written again. Best
     * effort.
     */
    void (*discard)(struct Disk *d, uint32_t block, uint32_t n);
};

/* Upper limit of max_run. */
#define DISK_MAX_RUN 32

/* Address space for size bytes, page aligned; NULL: none. It must be committed before it is used.
 */
void *os_reserve(size_t size);
/* Make [p, p + size) of reserved space usable; fresh memory is zero. 0 or -E_NO_MEM. */
int os_commit(void *p, size_t size);
/* Print a message; a newline is added. */
void os_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
