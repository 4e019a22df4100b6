/*
 * The parts of the file server: disks, open files, guests' disks, and the loop that serves
 * requests.
 */
#ifndef JOS_FS_SERV_H
#define JOS_FS_SERV_H

#include <fs/core/core.h>
#include <inc/lib.h>

extern struct Fs fs;

/* ---- ide.c, hostdisk.c: NULL if there is no disk, after saying why ---- */
struct Disk *ide_disk(void);
/* gOS: the image that the monitor gave to this guest. */
struct Disk *host_disk(void);

/* ---- open.c: open files ---- */
#define HOLDERS 8
struct OpenFile {
    uint32_t frame; /* number of the fd page's frame; what clients know it by */
    uint32_t inum;  /* 0: the slot is free */
    uint32_t mode;  /* its O_ACCMODE bits */
    envid_t owner;  /* the family that opened it */
    struct Fd *fd;  /* page shared with the clients; its reference count tells how many there are */
    /* Envs known to have the page, the one that asked last first; others have to show it. */
    envid_t holder[HOLDERS];
    struct OpenFile *next; /* of the same bucket */
};

/* A slot for a new open file of this client, with an fd page of its own; it is taken when the
 * caller sets inum, and makes the client its holder. -E_MAX_OPEN: no slot is free, or the client's
 * family has its share; -E_NO_MEM.
 */
int open_alloc(envid_t client, uint32_t mode, struct OpenFile **out);
#define LOG2MAXOPEN 10
#define MAXOPEN     (1 << LOG2MAXOPEN)
#define NBUCKETS    MAXOPEN
extern struct OpenFile
    *openbuckets[NBUCKETS]; /* those that have a page, open or not, by its frame */
/* The open file with this frame, if the client is known to have it; else NULL. What nobody has any
 * more is closed on the way. */
struct OpenFile *open_search(uint32_t frame, envid_t client);
static inline struct OpenFile *open_find(uint32_t frame, envid_t client)
{
    struct OpenFile *of = openbuckets[frame % NBUCKETS];
    /* A slot that is free has no holders. */
    if (__builtin_expect(
            !of || of->frame != frame || of->holder[0] != client || pages[frame].pp_ref <= 1, 0))
        return open_search(frame, client);
    return of;
}
/* The client has the page of an open file that is mapped here at va. -E_INVAL: it is none. */
int open_show(uintptr_t va, envid_t client);
/* Is the inode open in a mode that has any of these O_ACCMODE bits (0: at all)? */
bool open_has(uint32_t inum, uint32_t mode_bits);
/* Close what no client has any more. Returns how many files that were. */
int open_sweep(void);

/* ---- gdisk.c: the guests' disks ---- */

/* Serve a request from a guest; page is NULL if none came. Returns the answer's value. */
int64_t gdisk_request(envid_t guest, uint64_t value, void *page, bool writable);
/* Give an image file to a guest, who may let it grow to `limit` bytes (0: as far as it goes); base:
 * inode of the base image, 0: none. -E_BUSY: somebody else has one of them (*holder: this guest),
 * or has it open for writing (*holder: 0). */
int gdisk_attach(envid_t guest, uint32_t inum, uint32_t base, uint64_t limit, envid_t *holder);
/* What a guest's disk takes and may take. -E_NOT_FOUND: it has none. */
int gdisk_info(envid_t guest, struct GuestDiskInfo *info);
/* An image that holds nothing yet, for use over this base. */
int gdisk_create(const char *path, uint32_t base, uint32_t *inum);
/* Does a living guest have this image, as its own or as its base? */
bool gdisk_has(uint32_t inum);
/* End the attachments of guests that are gone. Returns how many. */
int gdisk_sweep(void);

#endif
