/*
 * rm [-rf] PATH...: remove files and empty directories; -r: directories with all that is in them;
 * -f: what is not there is no error.
 */
#include <inc/lib.h>

USAGE("rm [-rf] PATH...");

static bool recursive, force;

static int remove_tree(const char *path);

/* Remove the entries that one read of the directory returns. Returns how many, or an error. */
static int remove_some(const char *dir)
{
    struct Dirent *entries = malloc(PGSIZE);
    char *path = malloc(MAXPATHLEN);
    int fd = open(dir, O_RDONLY), r = entries && path ? fd : -E_NO_MEM, removed = 0;
    ssize_t n = r < 0 ? r : readn(fd, entries, PGSIZE);

    if (fd >= 0)
        close(fd);
    if (n < 0)
        r = n;
    for (size_t i = 0; r >= 0 && i < (size_t)n / sizeof(*entries); i++) {
        if (entries[i].d_name[0] == '\0')
            continue;
        if (snprintf(path, MAXPATHLEN, "%s/%s", dir, entries[i].d_name) >= MAXPATHLEN)
            r = -E_BAD_PATH;
        else
            r = remove_tree(path);
        removed++;
    }
    free(path);
    free(entries);
    return r < 0 ? r : removed;
}

static int remove_tree(const char *path)
{
    int r = remove(path);
    if (r != -E_NOT_EMPTY || !recursive)
        return r;
    while ((r = remove_some(path)) > 0)
        continue;
    return r < 0 ? r : remove(path);
}

int umain(int argc, char **argv)
{
    int c, status = 0;

    while ((c = getopt(argc, argv, "rf")) != -1) {
        recursive |= c == 'r';
        force |= c == 'f';
        if (c == '?')
            optind = argc;
    }
    if (optind == argc)
        return usage();
    for (int i = optind; i < argc; i++) {
        int r = remove_tree(argv[i]);
        if (r < 0 && !(force && r == -E_NOT_FOUND)) {
            warn("%s: %e", argv[i], r);
            status = 1;
        }
    }
    return status;
}
