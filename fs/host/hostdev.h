/*
 * What the host tools share: an image file as a disk, and helpers around it.
 */
#ifndef JOS_FS_HOST_HOSTDEV_H
#define JOS_FS_HOST_HOSTDEV_H

#include <fs/core/fs.h>

struct HostDisk {
    struct Disk disk;
    int fd;
    int64_t writes_left; /* block writes until the power fails; negative: it never does */
};

/* Prefix of messages, set by each tool's main. */
extern const char *tool;
/* A message on standard error, after the tool's name. */
void warn_at(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same, then exit with status 2. */
void die(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
/* Words for a -E_* code. */
const char *error_words(int err);
/* Messages of the file system (os_say) are dropped when this is set. */
extern bool quiet;

/* Use an open file as a disk. */
void hostdisk_init(struct HostDisk *hd, const char *name, int fd, uint32_t nblocks);
/* Free the memory of a mounted file system; writes nothing. */
void fs_unmount(struct Fs *fs);

#endif
