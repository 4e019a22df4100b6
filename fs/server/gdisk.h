/*
 * The guests' disks.
 */
#ifndef JOS_FS_SERVER_GDISK_H
#define JOS_FS_SERVER_GDISK_H

#include <inc/lib.h>

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
/* A living guest that has this image, as its own or as its base; 0: none has. */
envid_t gdisk_user(uint32_t inum);
/* End the attachments of guests that are gone. Returns how many. */
int gdisk_sweep(void);

#endif
