/*
 * How the cost of files grows: with the number of names in a directory, and with a file's size. The
 * files stay; the run's disk is thrown away.
 */
#include "bench.h"

#define DIRECTORY  "/tmp/names"
#define FILE       "/tmp/bytes"
#define CHUNK      BLKSIZE
#define READ_TOTAL (4ul * 1024 * 1024) /* bytes to read in all, about */
#define STEP       7919                /* a prime: the order in which names are opened */
#define SYNC_EVERY 256                 /* files */

static char chunk[CHUNK] __attribute__((aligned(PGSIZE)));

static int open_name(uint64_t i, int mode)
{
    char path[64];
    int fd;

    snprintf(path, sizeof(path), DIRECTORY "/name%lu", i);
    if ((fd = open(path, mode)) < 0)
        panic("%s: %e", path, fd);
    return fd;
}

void bench_directory(uint64_t n)
{
    mkdir(DIRECTORY);
    for (uint64_t i = 0; i < n; i++) {
        close(open_name(i, O_WRONLY | O_CREAT));
        if (i % SYNC_EVERY == 0)
            sync();
    }
    for (size_t i = 0; i < 2 * MAX_SAMPLES; i++) { /* the first half brings everything in */
        uint64_t start = read_tsc();
        int fd = open_name(i % MAX_SAMPLES * STEP % n, O_RDONLY);
        samples[i % MAX_SAMPLES] = read_tsc() - start;
        close(fd);
    }
    report("look-up", MAX_SAMPLES);
}

static void write_file(uint64_t bytes)
{
    int fd = open(FILE, O_WRONLY | O_CREAT | O_TRUNC), r = MIN(fd, 0);

    for (uint64_t done = 0; r == 0 && done < bytes; done += CHUNK)
        r = writen(fd, chunk, MIN(bytes - done, (uint64_t)CHUNK));
    if (r < 0 || (r = sync()) < 0)
        panic(FILE ": %e", r);
    close(fd);
}

void bench_read(uint64_t bytes)
{
    size_t n = MIN(MAX(READ_TOTAL / bytes, 3ul), (uint64_t)MAX_SAMPLES);
    int fd;

    write_file(bytes);
    fd = open(FILE, O_RDONLY);
    for (size_t i = 0; i < n; i++) {
        uint64_t start = read_tsc(), done = 0;
        ssize_t got = seek(fd, 0);
        while (got >= 0 && done < bytes && (got = read(fd, chunk, CHUNK)) > 0)
            done += got;
        if (done != bytes)
            panic(FILE ": %e", (int)got);
        samples[i] = (read_tsc() - start) * 1024 / bytes;
    }
    report("read", n);
    close(fd);
}
