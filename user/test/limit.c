/*
 * A disk that has less space than it seems to have, as a guest's under `vmm -D`. The writer gets an
 * error; what was taken before is there, also after the next start; and what is removed makes room.
 *
 *     test-limit          fill the disk, make room, fill it again, and leave a file
 *     test-limit check    is that file as it was left?
 */
#include "test.h"

#define PATH   "/limited"
#define OTHER  "/limited-too"
#define CHUNK  8192
#define MARGIN 10 /* of what fitted once, all but one part in so many fits again */

static uint64_t chunk[CHUNK / sizeof(uint64_t)];

static void make_chunk(size_t offset)
{
    for (size_t i = 0; i < ARRAY_SIZE(chunk); i++)
        chunk[i] = (offset + i) * 0x9e3779b97f4a7c15ul;
}

/* Write until there is no space; returns how much there was. */
static size_t fill(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC);
    size_t size = 0;
    ssize_t n;

    CHECK(fd >= 0, "%s: %e", path, fd);
    for (;;) {
        make_chunk(size / CHUNK * CHUNK);
        n = write(fd, (char *)chunk + size % CHUNK, CHUNK - size % CHUNK);
        if (n <= 0)
            break;
        size += n;
    }
    CHECK_IS(n, -E_NO_DISK);
    close(fd);
    CHECK_IS(sync(), 0);
    return size;
}

static void check_file(void)
{
    static uint64_t got[ARRAY_SIZE(chunk)];
    int fd = open(PATH, O_RDONLY);
    size_t size = 0;
    ssize_t n;

    CHECK(fd >= 0, PATH ": %e", fd);
    while ((n = readn(fd, got, CHUNK)) > 0) {
        make_chunk(size);
        CHECK(memcmp(got, chunk, n) == 0, "wrong data near %zu", size);
        size += n;
    }
    CHECK(n == 0 && size > CHUNK, "%zu bytes, then %ld", size, (long)n);
    close(fd);
}

int umain(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "check") == 0) {
        check_file();
        CHECK_IS(remove(PATH), 0);
        CHECK_IS(sync(), 0);
        printf("%s: ok\n", binaryname);
        return 0;
    }
    size_t first = fill(PATH);
    check_file();
    CHECK(open(OTHER, O_WRONLY | O_CREAT) < 0, "a full disk takes a new file");
    CHECK_IS(remove(PATH), 0);
    CHECK_IS(sync(), 0);
    size_t second = fill(PATH);
    CHECK(second >= first - first / MARGIN, "%zu bytes, and after their removal %zu", first,
          second);
    check_file();
    printf("%s: %zu KiB\n%s: ok\n", binaryname, second / 1024, binaryname);
    return 0;
}
