/*
 * cat [FILE...]: copy files, or standard input, to standard output. "-" is standard input as well.
 */
#include <inc/lib.h>

USAGE("cat [FILE...]");

static char buf[PGSIZE];

static int copy(int fd, const char *name)
{
    ssize_t n;
    while ((n = read(fd, buf, sizeof(buf))) > 0) {
        int r = writen(1, buf, n);
        if (r < 0) {
            if (r != -E_EOF) /* a pipe that nobody reads any more is no news to anybody */
                warn("write: %e", r);
            exit(1);
        }
    }
    if (n == 0)
        return 0;
    warn("%s: %e", name, (int)n);
    return 1;
}

static int copy_file(const char *name)
{
    if (strcmp(name, "-") == 0)
        return copy(0, "standard input");
    struct Stat st;
    int fd = open(name, O_RDONLY), r = fd;
    if (fd >= 0)
        r = fstat(fd, &st);
    if (r >= 0 && st.st_isdir)
        r = -E_IS_DIR;
    if (r < 0) {
        warn("%s: %e", name, r);
        if (fd >= 0)
            close(fd);
        return 1;
    }
    r = copy(fd, name);
    close(fd);
    return r;
}

int umain(int argc, char **argv)
{
    int status = 0;

    if (argc == 1)
        return copy(0, "standard input");
    if (argv[1][0] == '-' && argv[1][1])
        return usage();
    for (int i = 1; i < argc; i++)
        status |= copy_file(argv[i]);
    return status;
}
