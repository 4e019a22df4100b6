/*
 * Open files.
 */
#ifndef JOS_FS_SERVER_OPEN_H
#define JOS_FS_SERVER_OPEN_H

#include <inc/lib.h>

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

#endif
