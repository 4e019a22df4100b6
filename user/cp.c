/*
 * cp SOURCE TARGET, cp SOURCE... DIRECTORY: copy files.
 */
#include <inc/lib.h>

USAGE("cp SOURCE TARGET\n       cp SOURCE... DIRECTORY");

static char buf[FSREAD_MAX] __attribute__((aligned(PGSIZE)));

/* Copy everything between open files. Returns 0, or the error with the name of its file in *at. */
static int copy_data(int from, int to, const char *src, const char *dst, const char **at)
{
    ssize_t n;
    while ((n = read(from, buf, sizeof(buf))) > 0) {
        int r = writen(to, buf, n);
        if (r < 0) {
            *at = dst;
            return r;
        }
    }
    *at = src;
    return n;
}

static int open_source(const char *src)
{
    struct Stat st;
    int fd = open(src, O_RDONLY);
    if (fd < 0)
        return fd;
    int r = fstat(fd, &st);
    if (r == 0 && st.st_isdir)
        r = -E_IS_DIR;
    if (r == 0)
        return fd;
    close(fd);
    return r;
}

static int copy_file(const char *src, const char *dst)
{
    const char *at = src;
    int from = open_source(src), r = from;

    if (from >= 0) {
        int to = open(dst, O_WRONLY | O_CREAT | O_TRUNC);
        at = dst;
        r = to;
        if (to >= 0) {
            r = copy_data(from, to, src, dst, &at);
            close(to);
        }
        close(from);
    }
    if (r < 0)
        warn("%s: %e", at, r);
    return r < 0;
}

static bool is_dir(const char *path)
{
    struct Stat st;
    return stat(path, &st) == 0 && st.st_isdir;
}

static int copy_into(const char *src, const char *dir)
{
    char path[MAXPATHLEN];
    const char *slash = strrchr(src, '/');

    if (snprintf(path, sizeof(path), "%s/%s", dir, slash ? slash + 1 : src) >= MAXPATHLEN) {
        warn("%s: %e", src, -E_BAD_PATH);
        return 1;
    }
    return copy_file(src, path);
}

int umain(int argc, char **argv)
{
    int status = 0;

    if (argc < 3)
        return usage();
    if (!is_dir(argv[argc - 1])) {
        if (argc == 3)
            return copy_file(argv[1], argv[2]);
        warn("%s: %e", argv[argc - 1], -E_NOT_DIR);
        return 1;
    }
    for (int i = 1; i + 1 < argc; i++)
        status |= copy_into(argv[i], argv[argc - 1]);
    return status;
}
