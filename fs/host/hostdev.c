/*
 * The host's side of fs/core/disk.h: memory, messages and an image file as a disk. A power failure
 * after a number of writes can be simulated, for the tests.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <fs/core/disk.h>
#include <fs/core/fs.h>
#include <fs/host/hostdev.h>
#include <inc/error.h>

const char *tool = "fs";
bool quiet;

static void vwarn(const char *fmt, va_list ap)
{
    fprintf(stderr, "%s: ", tool);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
}

void warn_at(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vwarn(fmt, ap);
    va_end(ap);
}

void die(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vwarn(fmt, ap);
    va_end(ap);
    exit(2);
}

void os_say(const char *fmt, ...)
{
    va_list ap;

    if (quiet)
        return;
    va_start(ap, fmt);
    vwarn(fmt, ap);
    va_end(ap);
}

const char *error_words(int err)
{
    static const char *const words[E_MAX] = {
#define ERROR_WORDS(name, text) [name] = text,
        ERROR_LIST(ERROR_WORDS)
#undef ERROR_WORDS
    };
    return err < 0 && err > -E_MAX ? words[-err] : "no error";
}

void *os_reserve(size_t size)
{
    return calloc(1, size);
}

int os_commit(void *p, size_t size)
{
    (void)p, (void)size;
    return 0;
}

static int host_read(struct Disk *d, uint32_t block, uint32_t n, void *const page[])
{
    struct HostDisk *hd = container_of(d, struct HostDisk, disk);

    for (uint32_t i = 0; i < n; i++) {
        ssize_t got = pread(hd->fd, page[i], BLKSIZE, (off_t)(block + i) * BLKSIZE);
        if (got != BLKSIZE) {
            os_say("%s: cannot read block %u", d->name, block + i);
            return -E_IO;
        }
    }
    return 0;
}

static bool all_zero(const char *p)
{
    return *p == 0 && memcmp(p, p + 1, BLKSIZE - 1) == 0;
}

/* Does the image already have zeroes there? Then writing zeroes would only make the file less
 * sparse. */
static bool zero_on_disk(struct HostDisk *hd, uint32_t block)
{
    char old[BLKSIZE];

    return pread(hd->fd, old, BLKSIZE, (off_t)block * BLKSIZE) == BLKSIZE && all_zero(old);
}

static int host_write(struct Disk *d, uint32_t block, uint32_t n, void *const page[])
{
    struct HostDisk *hd = container_of(d, struct HostDisk, disk);

    for (uint32_t i = 0; i < n; i++) {
        if (hd->writes_left == 0)
            continue;
        if (hd->writes_left > 0)
            hd->writes_left--;
        if (all_zero(page[i]) && zero_on_disk(hd, block + i))
            continue;
        if (pwrite(hd->fd, page[i], BLKSIZE, (off_t)(block + i) * BLKSIZE) != BLKSIZE) {
            os_say("%s: cannot write block %u", d->name, block + i);
            return -E_IO;
        }
    }
    return 0;
}

static int host_flush(struct Disk *d)
{
    (void)d;
    return 0;
}

void hostdisk_init(struct HostDisk *hd, const char *name, int fd, uint32_t nblocks)
{
    *hd = (struct HostDisk){
        .disk = { .name = name,
                  .nblocks = nblocks,
                  .max_run = DISK_MAX_RUN,
                  .read = host_read,
                  .write = host_write,
                  .flush = host_flush },
        .fd = fd,
        .writes_left = -1,
    };
}

void fs_unmount(struct Fs *fs)
{
    free(fs->cache.slot);
    free(fs->cache.bucket);
    free(fs->cache.data);
    free(fs->pending);
    free(fs->ipending);
    free(fs->index.node);
    free(fs->index.bucket);
    free(fs->index.whole);
}
