/*
 * Uses everything on a disk that may be damaged: walks all directories, reads the files, and
 * writes, cuts, makes and removes some in each. Errors are what a damaged disk gives; what fails
 * the test is an answer that is none, or a walk that does not end.
 */
#include "test.h"

#define MAX_DEPTH   6
#define MAX_CALLS   6000 /* of a damaged tree that leads into itself, only so much is looked at */
#define READ_MAX    (16 * PGSIZE)
#define ENTRIES_MAX 100
#define FAR_AWAY    (130 * PGSIZE) /* behind the direct blocks */

static unsigned long calls, errors;
static char buf[PGSIZE];

static int64_t judge(int64_t r)
{
    calls++;
    errors += r < 0;
    CHECK(r > -E_MAX, "an answer of %ld", r);
    return r;
}

static void use_file(const char *path, bool change)
{
    struct Stat st;
    ssize_t n;
    int fd = judge(open(path, change ? O_RDWR : O_RDONLY));

    if (fd < 0)
        return;
    judge(fstat(fd, &st));
    for (size_t done = 0; done < READ_MAX && (n = judge(read(fd, buf, sizeof(buf)))) > 0; done += n)
        ;
    if (change) {
        judge(seek(fd, FAR_AWAY));
        judge(write(fd, "wreck", 5));
        judge(ftruncate(fd, 3));
    }
    close(fd);
}

/* Files come and go in a directory. */
static void change_dir(const char *dir)
{
    char path[MAXPATHLEN];

    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof(path), "%s/wreck%d", dir, i);
        int fd = judge(open(path, O_RDWR | O_CREAT));
        if (fd < 0)
            continue;
        judge(write(fd, path, sizeof(path)));
        close(fd);
        use_file(path, true);
        if (i > 0)
            judge(remove(path));
    }
    snprintf(path, sizeof(path), "%s/wreckdir", dir);
    judge(mkdir(path));
    judge(remove(path));
}

static void walk(const char *dir, int depth)
{
    struct Dirent *ent = malloc(ENTRIES_MAX * sizeof(*ent));
    char path[MAXPATHLEN];
    int fd = judge(open(*dir ? dir : "/", O_RDONLY));

    CHECK(ent, "out of memory");
    ssize_t n = fd < 0 ? 0 : judge(readn(fd, ent, ENTRIES_MAX * sizeof(*ent)));
    if (fd >= 0)
        close(fd);
    change_dir(dir);
    for (ssize_t i = 0; i < n / (ssize_t)sizeof(*ent) && calls < MAX_CALLS; i++) {
        struct Stat st;
        snprintf(path, sizeof(path), "%s/%.*s", dir, MAXNAMELEN - 1, ent[i].d_name);
        if (judge(stat(path, &st)) < 0)
            judge(remove(path));
        else if (st.st_isdir && depth < MAX_DEPTH)
            walk(path, depth + 1);
        else if (!st.st_isdir)
            use_file(path, false);
    }
    free(ent);
}

int umain(int argc, char **argv)
{
    uint64_t total, unused;

    (void)argc, (void)argv;
    walk("", 0);
    judge(statfs(&total, &unused));
    judge(sync());
    printf("calls made: %lu, errors: %lu\n%s: ok\n", calls, errors, binaryname);
    return 0;
}
