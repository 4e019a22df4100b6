/*
 * The guests' disks.
 */
#ifndef JOS_FS_SERVER_GDISK_H
#define JOS_FS_SERVER_GDISK_H

#include <inc/lib.h>

struct GuestDisk {
    envid_t guest;   /* 0: unused */
    envid_t monitor; /* the guest's parent */
    uint32_t number; /* of the guest's disks, from 0 on */
    uint32_t use;    /* enum GuestDiskUse */
    uint32_t inum;
    uint32_t base;     /* inode of the base image, 0: none */
    uint64_t size;     /* in bytes; whole sectors */
    uint32_t limit;    /* blocks that its image may take, tables included */
    uint32_t promised; /* blocks of this file system that it counts on */
};

/* Serve a request from a guest; page is NULL if none came. Returns the answer's value. */
int64_t gdisk_request(envid_t guest, uint64_t value, void *page, bool writable);
/* The same from a guest's monitor (FSREQ_DISK_*), with `room` bytes of memory at buf. */
int64_t gdisk_serve(envid_t from, uint64_t value, void *buf, size_t room);
/* Give an image file to a guest: what `disk` says of guest, monitor, use, inum, base and limit, the
 * last in bytes (0: as far as it goes). Returns its handle. -E_BUSY: somebody else has one of the
 * images (*holder: this guest), or has it open for writing (*holder: 0); -E_INVAL: its size is none
 * of a disk; -E_MAX_OPEN; -E_IS_DIR. */
struct GdiskAttach {
    envid_t guest, monitor;
    uint32_t use, inum, base;
    uint64_t limit;
};
int gdisk_attach(const struct GdiskAttach *disk, envid_t *holder);
/* Size of an attached disk in bytes. */
uint64_t gdisk_size(int handle);
/* What a guest's disk of this number takes and may take. -E_NOT_FOUND: it has none. */
int gdisk_info(envid_t guest, uint32_t number, struct GuestDiskInfo *info);
/* An image that holds nothing yet, for use over this base. */
int gdisk_create(const char *path, uint32_t base, uint32_t *inum);
/* Does a living guest have this image, as its own or as its base? */
bool gdisk_has(uint32_t inum);
/* A living guest that has this image, as its own or as its base; 0: none has. */
envid_t gdisk_user(uint32_t inum);
/* End the attachments of guests that are gone. Returns how many. */
int gdisk_sweep(void);

/* ---- Between gdisk.c, which knows who has which disk and how far an image may grow, and gdata.c,
 * which moves its bytes ---- */

/* Make sure that block b of the disk can be written: what it takes is within limit and promises.
 * -E_NO_DISK; -E_NOT_FOUND: the guest is gone; -E_AGAIN: it takes something, and the cache is not
 * to wait for the disk. */
int gdisk_may_grow(struct GuestDisk *gd, uint32_t b);
/* Read or write n bytes from `off` on, which lie within the disk. Returns n or -E_*; if the cache
 * is not to wait for the disk, perhaps fewer, whole blocks but for the first. */
ssize_t gdata_read(const struct GuestDisk *gd, uint64_t off, size_t n, void *buf);
ssize_t gdata_write(struct GuestDisk *gd, uint64_t off, size_t n, const void *buf);
/* n bytes from `off` on read as zeroes from now on; unmap: space may be given back. */
int gdata_zero(struct GuestDisk *gd, uint64_t off, uint64_t n, bool unmap);
/* Give back the blocks that lie in the n bytes from `off` on. */
int gdata_discard(struct GuestDisk *gd, uint64_t off, uint64_t n);

#endif
