/*
 * mkfs: build a disk image from files of the host. The result depends on the arguments and the
 * files' contents alone; blocks of zeroes take no space, neither in the image nor on the host.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fs/core/dir.h>
#include <fs/core/file.h>
#include <fs/core/format.h>
#include <fs/core/fs.h>
#include <fs/core/mount.h>
#include <fs/core/sync.h>
#include <fs/host/hostdev.h>
#include <inc/error.h>

/* Bochs takes whole cylinders only. */
#define CYLINDER     (16 * 63 * 512)
#define DEFAULT_SIZE ((uint64_t)64 << 20)
#define CACHE_BLOCKS 4096

static const char usage[] =
    "usage: mkfs [-c] [-s SIZE] IMAGE [HOSTFILE:/path | HOSTDIR:/path/ | dir:/path]...\n"
    "  -s SIZE        bytes, with an optional K, M or G (default 64M)\n"
    "  -c             pad the image file to whole disk cylinders of 16 heads and 63 sectors\n"
    "  HOSTFILE:/path copy a file;  HOSTDIR:/path/ copy all files of a directory\n"
    "  dir:/path      make a directory (those that files need are made anyway)\n";

static struct Fs fs;

static uint64_t parse_bytes(const char *s)
{
    static const char units[] = "KMGT";
    char *end;
    uint64_t v = strtoull(s, &end, 10);
    const char *unit = *end ? strchr(units, *end) : NULL;

    for (int i = 0; unit && i <= unit - units; i++)
        v = v > UINT64_MAX >> 10 ? UINT64_MAX : v << 10;
    if (end == s || *(end += unit != NULL) || v / BLKSIZE < FS_MINBLOCKS ||
        v / BLKSIZE > UINT32_MAX)
        die("bad size %s", s);
    return v;
}

/* Make the directories of path up to its last slash. */
static void make_parents(const char *path)
{
    char part[MAXPATHLEN];
    uint32_t inum;

    for (const char *p = path + 1; (p = strchr(p, '/')); p++) {
        if (p - path >= MAXPATHLEN)
            die("%s: path is too long", path);
        memcpy(part, path, p - path);
        part[p - path] = '\0';
        int r = fs_create(&fs, part, FS_DIR, &inum);
        if (r < 0 && r != -E_FILE_EXISTS)
            die("%s: %s", part, error_words(r));
    }
}

/* Copy an open file; blocks of zeroes become holes. */
static void copy_data(FILE *f, const char *path, uint32_t inum)
{
    static char buf[BLKSIZE], zero[BLKSIZE];
    uint64_t off = 0;
    size_t n;

    while ((n = fread(buf, 1, BLKSIZE, f)) > 0) {
        if (memcmp(buf, zero, n) != 0) {
            ssize_t r = fs_write(&fs, inum, buf, n, off);
            if (r != (ssize_t)n)
                die("%s: %s", path, error_words(r < 0 ? r : -E_NO_DISK));
        }
        off += n;
    }
    struct FsStat st;
    int r = fs_stat(&fs, inum, &st);
    if (r == 0 && off > st.size)
        r = fs_truncate(&fs, inum, off);
    if (r < 0)
        die("%s: %s", path, error_words(r));
}

static void add_file(const char *host, const char *path)
{
    uint32_t inum;
    FILE *f = fopen(host, "rb");

    if (!f)
        die("cannot read host file %s (for %s)", host, path);
    make_parents(path);
    int r = fs_create(&fs, path, FS_FILE, &inum);
    if (r < 0)
        die("%s: %s", path, error_words(r));
    copy_data(f, path, inum);
    if (ferror(f))
        die("cannot read host file %s", host);
    fclose(f);
}

static int visible(const struct dirent *d)
{
    return d->d_name[0] != '.';
}

static void add_tree(const char *host, const char *path)
{
    struct dirent **list;
    int n = scandir(host, &list, visible, alphasort);

    if (n < 0)
        die("cannot read host directory %s (for %s)", host, path);
    make_parents(path);
    for (int i = 0; i < n; i++) {
        char from[4096], to[MAXPATHLEN];
        struct stat st;
        snprintf(from, sizeof(from), "%s/%s", host, list[i]->d_name);
        if (stat(from, &st) < 0)
            die("cannot read host file %s", from);
        bool dir = S_ISDIR(st.st_mode);
        if (snprintf(to, sizeof(to), "%s%s%s", path, list[i]->d_name, dir ? "/" : "") >= MAXPATHLEN)
            die("%s%s: path is too long", path, list[i]->d_name);
        if (dir)
            add_tree(from, to);
        else
            add_file(from, to);
        free(list[i]);
    }
    free(list);
}

static void add_argument(char *arg)
{
    struct stat st;
    char *path = strrchr(arg, ':');

    if (!path || path[1] != '/')
        die("%s: expected HOSTPATH:/path or dir:/path", arg);
    *path++ = '\0';
    size_t len = strlen(path);
    if (strcmp(arg, "dir") == 0) {
        char *with_slash = malloc(len + 2);
        memcpy(with_slash, path, len);
        memcpy(with_slash + len, "/", 2);
        make_parents(with_slash);
        free(with_slash);
    } else if (path[len - 1] == '/' && stat(arg, &st) == 0 && S_ISDIR(st.st_mode)) {
        add_tree(arg, path);
    } else {
        add_file(arg, path);
    }
}

int main(int argc, char **argv)
{
    uint64_t size = DEFAULT_SIZE, padded;
    bool cylinders = false;
    struct HostDisk hd;
    int c, r;

    tool = "mkfs";
    while ((c = getopt(argc, argv, "cs:")) != -1) {
        if (c == 'c') {
            cylinders = true;
        } else if (c == 's') {
            size = parse_bytes(optarg);
        } else {
            fputs(usage, stderr);
            return 2;
        }
    }
    if (optind >= argc) {
        fputs(usage, stderr);
        return 2;
    }
    const char *image = argv[optind++];
    FILE *f = fopen(image, "w+b");
    padded = cylinders ? (size + CYLINDER - 1) / CYLINDER * CYLINDER : size / BLKSIZE * BLKSIZE;
    if (!f || ftruncate(fileno(f), padded) < 0)
        die("cannot create %s", image);
    hostdisk_init(&hd, image, fileno(f), size / BLKSIZE);
    if ((r = fs_format(&fs, &hd.disk, CACHE_BLOCKS)) < 0)
        die("%s: cannot make a file system: %s", image, error_words(r));
    while (optind < argc)
        add_argument(argv[optind++]);
    if ((r = fs_sync(&fs)) < 0)
        die("%s: %s", image, error_words(r));
    fs_unmount(&fs);
    if (fclose(f) != 0)
        die("cannot write %s", image);
    return 0;
}
