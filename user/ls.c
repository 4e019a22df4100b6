/*
 * ls [-l] [PATH...]: list directories, sorted by name. -l adds type and size.
 */
#include <inc/lib.h>

USAGE("ls [-l] [PATH...]");

static bool with_details;

/* Output is collected, so that a listing is few writes. */
static char out[2 * PGSIZE];
static size_t out_len;

static void flush(void)
{
    if (out_len > 0)
        writen(1, out, out_len);
    out_len = 0;
}

static int print_entry(const char *dir, const char *name)
{
    char path[MAXPATHLEN];
    struct Stat st;
    const size_t room = MAXPATHLEN + 32;

    if (out_len + room > sizeof(out))
        flush();
    if (!with_details) {
        out_len += snprintf(out + out_len, room, "%s\n", name);
        return 0;
    }
    snprintf(path, sizeof(path), "%s%s%s", dir, *dir ? "/" : "", name);
    int r = stat(path, &st);
    if (r < 0) {
        flush();
        warn("%s: %e", path, r);
        return 1;
    }
    out_len += snprintf(out + out_len, room, "%c %10ld %s\n", st.st_isdir ? 'd' : '-',
                        (long)st.st_size, name);
    return 0;
}

/* All entries of a directory, in one piece of memory. Returns their number or an error. */
static ssize_t read_dir(int fd, off_t size, struct Dirent **entries)
{
    *entries = malloc(size + sizeof(struct Dirent));
    if (!*entries)
        return -E_NO_MEM;
    ssize_t n = readn(fd, *entries, size);
    return n < 0 ? n : n / (ssize_t)sizeof(struct Dirent);
}

/* Move the greater of a heap's root and its children up, from position i on. */
static void sift_down(struct Dirent **v, size_t i, size_t n)
{
    for (size_t c; (c = 2 * i + 1) < n; i = c) {
        if (c + 1 < n && strcmp(v[c]->d_name, v[c + 1]->d_name) < 0)
            c++;
        if (strcmp(v[i]->d_name, v[c]->d_name) >= 0)
            return;
        struct Dirent *t = v[i];
        v[i] = v[c];
        v[c] = t;
    }
}

static void heap_sort(struct Dirent **v, size_t n)
{
    for (size_t i = n / 2; i-- > 0;)
        sift_down(v, i, n);
    while (n > 1) {
        struct Dirent *t = v[0];
        v[0] = v[--n];
        v[n] = t;
        sift_down(v, 0, n);
    }
}

static int list_entries(const char *path, int fd, off_t size)
{
    struct Dirent *entries;
    ssize_t n = read_dir(fd, size, &entries);
    struct Dirent **sorted = n < 0 ? NULL : malloc((n + 1) * sizeof(*sorted));
    int status = 0;

    if (!sorted) {
        warn("%s: %e", path, n < 0 ? (int)n : -E_NO_MEM);
        return 1;
    }
    size_t count = 0;
    for (ssize_t i = 0; i < n; i++)
        if (entries[i].d_name[0])
            sorted[count++] = &entries[i];
    heap_sort(sorted, count);
    for (size_t i = 0; i < count; i++)
        status |= print_entry(path, sorted[i]->d_name);
    free(sorted);
    free(entries);
    return status;
}

static int list(const char *path)
{
    struct Stat st;
    int status, fd = open(path, O_RDONLY), r = fd;

    if (fd >= 0)
        r = fstat(fd, &st);
    if (r < 0) {
        flush();
        warn("%s: %e", path, r);
        return 1;
    }
    status = st.st_isdir ? list_entries(path, fd, st.st_size) : print_entry("", path);
    close(fd);
    flush();
    return status;
}

int umain(int argc, char **argv)
{
    int c, status = 0;

    while ((c = getopt(argc, argv, "l")) != -1) {
        if (c == '?')
            return usage();
        with_details = true;
    }
    if (optind == argc)
        return list("/");
    for (int i = optind; i < argc; i++)
        status |= list(argv[i]);
    return status;
}
