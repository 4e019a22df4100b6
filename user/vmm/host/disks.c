/*
 * A target: what mkdisk says of a disk. The input is the disk's size and its contents, again and
 * again; what is printed is text, and nothing beyond the disk is read.
 */
#include <user/mkdisk/probe.h>
#include <user/vmm/host/target.h>

#define FD         3
#define MOST_LINES 300 /* a GPT has 128 partitions that are looked at */

static struct {
    const uint8_t *data;
    size_t n;
    uint64_t size, at;
    unsigned lines;
} disk;

int seek(int fd, off_t offset)
{
    HOLDS(fd == FD && offset >= 0 && (uint64_t)offset <= disk.size, "offset %ld", offset);
    disk.at = offset;
    return 0;
}

ssize_t readn(int fd, void *buf, size_t n)
{
    HOLDS(fd == FD && n <= disk.size - disk.at, "%zu bytes at 0x%lx", n, disk.at);
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)buf)[i] = disk.n > 0 ? disk.data[(disk.at + i) % disk.n] : 0;
    disk.at += n;
    return n;
}

int printf(const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    HOLDS(n >= 0 && n < (int)sizeof(text), "%d bytes", n);
    for (int i = 0; i < n; i++) {
        HOLDS(text[i] == '\n' || (text[i] >= ' ' && text[i] <= '~'), "character 0x%x", text[i]);
        disk.lines += text[i] == '\n';
    }
    HOLDS(disk.lines <= MOST_LINES, "%u lines", disk.lines);
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct Input in = { data, size };
    disk.size = input_take(&in, 5);
    disk.data = in.data;
    disk.n = in.size;
    disk.at = disk.lines = 0;
    struct Area a = { FD, 0, disk.size };
    HOLDS(probe(&a, 0) == 0, "size 0x%lx", disk.size);
    return 0;
}
