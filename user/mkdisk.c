/*
 * mkdisk: disk images for guests. `mkdisk FILE SIZE` makes one, which takes no space until it is
 * written to; -g makes it larger, -i tells what it is and what is on it.
 */
#include <inc/lib.h>
#include <user/mkdisk/probe.h>

#define STATUS_USAGE 2

USAGE("mkdisk FILE SIZE       make a disk image, empty\n"
      "       mkdisk -g FILE SIZE    make it larger\n"
      "       mkdisk -i FILE...      size, space taken, guest that uses it, contents\n"
      "SIZE is a number with K, M or G, a multiple of 4 KiB.");

static int take_size(const char *arg, uint64_t *size)
{
    if (parse_size(arg, size) == 0 && *size > 0 && *size % BLKSIZE == 0 && *size <= INT64_MAX)
        return 0;
    warn("%s: the size of a disk is a number with K, M or G, a multiple of 4 KiB", arg);
    return STATUS_USAGE;
}

/* Why a file cannot be written, in words. Returns the exit status. */
static int complain(const char *path, int r, envid_t holder)
{
    char name[ENV_NAME_LEN];

    if (r == -E_BUSY && holder) {
        env_get_name(holder, name);
        warn("%s is in use by guest %s", path, name);
    } else if (r == -E_FILE_EXISTS) {
        warn("%s is there already; -g makes it larger, -i tells what is on it", path);
    } else {
        warn("%s: %e", path, r);
    }
    return 1;
}

static int set_size(const char *path, int fd, uint64_t size)
{
    int r = ftruncate(fd, size);
    if (r == -E_TOO_BIG)
        warn("%s: %lu KiB are too much: a file has little more than 4 GiB at most", path,
             size / 1024);
    else if (r < 0)
        complain(path, r, 0);
    return r;
}

/* A disk may be larger than what is free; its user should know. */
static void tell_free(const char *path, uint64_t size)
{
    uint64_t total, free;
    if (statfs(&total, &free) == 0 && size > free * BLKSIZE)
        warn("%s has %lu KiB, of which only %lu KiB can be written now: no more is free", path,
             size / 1024, free * (BLKSIZE / 1024));
}

static int make(const char *path, uint64_t size)
{
    envid_t holder;
    int fd = open_image(path, O_WRONLY | O_CREAT | O_EXCL, &holder);
    if (fd < 0)
        return complain(path, fd, holder);
    int r = set_size(path, fd, size);
    close(fd);
    if (r < 0) {
        remove(path);
        return 1;
    }
    tell_free(path, size);
    return 0;
}

static int grow(const char *path, uint64_t size)
{
    envid_t holder;
    struct Stat st;
    int fd = open_image(path, O_WRONLY, &holder);
    int r = fd < 0 ? fd : fstat(fd, &st);
    if (r < 0)
        return complain(path, r, holder);
    if (size < (uint64_t)st.st_size) {
        warn("%s has %ld KiB already, and is not made smaller", path, (long)st.st_size / 1024);
        r = -E_INVAL;
    } else {
        r = set_size(path, fd, size);
    }
    close(fd);
    if (r < 0)
        return 1;
    tell_free(path, size);
    return 0;
}

/* Who writes to it, or reads it as a base. */
static void print_user(const char *path)
{
    char name[ENV_NAME_LEN];
    envid_t holder;
    int fd = open_image(path, O_WRONLY, &holder);
    if (fd >= 0)
        close(fd);
    if (!holder)
        return;
    env_get_name(holder, name);
    printf("  in use by guest %s\n", name);
}

static int inspect(const char *path)
{
    struct Stat st;
    int fd = open(path, O_RDONLY), r = fd < 0 ? fd : fstat(fd, &st);
    if (r == 0 && st.st_isdir)
        r = -E_IS_DIR;
    if (r >= 0) {
        struct Area all = { fd, 0, st.st_size };
        printf("%s: %lu KiB, %u KiB taken\n", path, st.st_size / 1024ul,
               st.st_blocks * (BLKSIZE / 1024));
        print_user(path);
        r = probe(&all, 2);
    }
    if (fd >= 0)
        close(fd);
    return r < 0 ? complain(path, r, 0) : 0;
}

int umain(int argc, char **argv)
{
    bool growing = false, inspecting = false;
    uint64_t size;
    int c;

    while ((c = getopt(argc, argv, "gi")) != -1) {
        if (c == '?')
            return usage();
        growing |= c == 'g';
        inspecting |= c == 'i';
    }
    if (growing && inspecting)
        return usage();
    int n = argc - optind, status = 0;
    if (inspecting && n > 0) {
        for (int i = optind; i < argc; i++)
            status |= inspect(argv[i]);
        return status;
    }
    if (inspecting || n != 2)
        return usage();
    status = take_size(argv[optind + 1], &size);
    if (status != 0)
        return status;
    return growing ? grow(argv[optind], size) : make(argv[optind], size);
}
