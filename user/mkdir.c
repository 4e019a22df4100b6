/*
 * mkdir [-p] PATH...: make directories; -p: with those above them, and without complaint about
 * those that exist.
 */
#include <inc/lib.h>

USAGE("mkdir [-p] PATH...");

static int make_parents(const char *path)
{
    char part[MAXPATHLEN];

    if (strlcpy(part, path, sizeof(part)) >= sizeof(part))
        return -E_BAD_PATH;
    for (char *p = part + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        int r = mkdir(part);
        if (r < 0 && r != -E_FILE_EXISTS)
            return r;
        *p = '/';
    }
    int r = mkdir(path);
    return r == -E_FILE_EXISTS ? 0 : r;
}

int umain(int argc, char **argv)
{
    bool parents = argc > 1 && strcmp(argv[1], "-p") == 0;
    int status = 0, first = parents ? 2 : 1;

    if (first >= argc || (!parents && argv[1][0] == '-'))
        return usage();
    for (int i = first; i < argc; i++) {
        int r = parents ? make_parents(argv[i]) : mkdir(argv[i]);
        if (r < 0) {
            warn("%s: %e", argv[i], r);
            status = 1;
        }
    }
    return status;
}
