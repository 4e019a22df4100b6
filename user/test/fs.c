/*
 * The file system as programs see it: data comes back as it was written, sizes and names have their
 * limits, and a full disk is an error for the writer and for nobody else.
 */
#include "test.h"

#define DIR       "/tmp/test-fs"
#define RAW_OPENS 1024 /* more than one env may have */

static uint32_t buf[16 * 1024];

static int open_or_fail(const char *path, int mode)
{
    int fd = open(path, mode);
    CHECK(fd >= 0, "%s: %e", path, fd);
    return fd;
}

/* Fill buf with words that tell their place in the file. */
static void fill(uint32_t salt, size_t offset, size_t size)
{
    for (size_t i = 0; i < size / sizeof(buf[0]); i++)
        buf[i] = (offset / sizeof(buf[0]) + i) * 2654435761u + salt;
}

static void check_filled(uint32_t salt, size_t offset, size_t size)
{
    for (size_t i = 0; i < size / sizeof(buf[0]); i++)
        CHECK(buf[i] == (uint32_t)((offset / sizeof(buf[0]) + i) * 2654435761u + salt),
              "wrong data at %zu", offset + i * sizeof(buf[0]));
}

/* Write until size bytes are in the file; returns how many there are when an error comes. */
static size_t write_file(const char *path, uint32_t salt, size_t size, int *error)
{
    int fd = open_or_fail(path, O_WRONLY | O_CREAT | O_TRUNC);
    size_t done = 0;
    *error = 0;
    while (done < size && *error == 0) {
        size_t n = MIN(sizeof(buf), size - done);
        fill(salt, done, n);
        ssize_t put = write(fd, buf, n);
        if (put < 0)
            *error = put;
        else
            done += put;
    }
    close(fd);
    return done;
}

static void check_file(const char *path, uint32_t salt, size_t size)
{
    struct Stat st;
    int fd = open_or_fail(path, O_RDONLY);
    CHECK_IS(fstat(fd, &st), 0);
    CHECK_IS(st.st_size, size);
    for (size_t done = 0; done < size;) {
        size_t n = MIN(sizeof(buf), size - done);
        CHECK_IS(readn(fd, buf, n), n);
        check_filled(salt, done, n);
        done += n;
    }
    CHECK_IS(read(fd, buf, 1), 0);
    close(fd);
}

static uint64_t blocks_free(void)
{
    uint64_t total, free_blocks;
    CHECK_IS(statfs(&total, &free_blocks), 0);
    return free_blocks;
}

static void large_file(void)
{
    enum {
        SIZE = 17 * 1024 * 1024
    };
    int error;
    uint64_t before = blocks_free();
    CHECK_IS(write_file(DIR "/large", 1, SIZE, &error), SIZE);
    check_file(DIR "/large", 1, SIZE);
    int fd = open_or_fail(DIR "/large", O_RDWR);
    CHECK_IS(ftruncate(fd, 5000), 0);
    close(fd);
    check_file(DIR "/large", 1, 5000);
    CHECK_IS(remove(DIR "/large"), 0);
    CHECK_IS(open(DIR "/large", O_RDONLY), -E_NOT_FOUND);
    /* The directory itself may have taken a block. */
    CHECK(blocks_free() + 1 >= before, "%ld blocks are missing", (long)(before - blocks_free()));
}

static void offsets(void)
{
    char text[16];
    int fd = open_or_fail(DIR "/offsets", O_RDWR | O_CREAT | O_TRUNC);
    CHECK_IS(write(fd, "0123456789", 10), 10);
    CHECK_IS(seek(fd, 4), 0);
    CHECK_IS(read(fd, text, 3), 3);
    CHECK(memcmp(text, "456", 3) == 0, "wrong bytes after a seek");
    CHECK_IS(seek(fd, 4094), 0);
    CHECK_IS(write(fd, "abcd", 4), 4);
    CHECK_IS(seek(fd, 10), 0);
    CHECK_IS(read(fd, text, 1), 1);
    CHECK_IS(text[0], 0);
    CHECK_IS(seek(fd, 4093), 0);
    CHECK_IS(readn(fd, text, sizeof(text)), 5);
    CHECK(memcmp(text, "\0abcd", 5) == 0, "wrong bytes across a block border");
    CHECK_IS(seek(fd, -1), -E_INVAL);
    close(fd);
    fd = open_or_fail(DIR "/offsets", O_WRONLY | O_APPEND);
    CHECK_IS(write(fd, "!", 1), 1);
    CHECK(read(fd, text, 1) < 0, "a file open for writing can be read");
    close(fd);
    fd = open_or_fail(DIR "/offsets", O_RDONLY);
    CHECK(write(fd, "x", 1) < 0, "a file open for reading can be written");
    CHECK(ftruncate(fd, 0) < 0, "a file open for reading can be truncated");
    CHECK_IS(seek(fd, 4098), 0);
    CHECK_IS(readn(fd, text, sizeof(text)), 1);
    CHECK_IS(text[0], '!');
    close(fd);
    CHECK_IS(remove(DIR "/offsets"), 0);
}

static void open_modes(void)
{
    CHECK_IS(open(DIR "/none", O_RDONLY), -E_NOT_FOUND);
    int fd = open_or_fail(DIR "/new", O_WRONLY | O_CREAT | O_EXCL);
    CHECK_IS(write(fd, "abc", 3), 3);
    close(fd);
    CHECK_IS(open(DIR "/new", O_WRONLY | O_CREAT | O_EXCL), -E_FILE_EXISTS);
    struct Stat st;
    CHECK_IS(stat(DIR "/new", &st), 0);
    CHECK_IS(st.st_size, 3);
    close(open_or_fail(DIR "/new", O_WRONLY | O_TRUNC));
    CHECK_IS(stat(DIR "/new", &st), 0);
    CHECK_IS(st.st_size, 0);
    CHECK_IS(open(DIR, O_WRONLY), -E_IS_DIR);
    CHECK(open(DIR "/new/x", O_RDONLY) < 0, "a file is taken for a directory");
    CHECK_IS(remove(DIR "/new"), 0);
    CHECK_IS(remove(DIR "/new"), -E_NOT_FOUND);
}

static void names(void)
{
    static char path[2 * MAXPATHLEN];
    size_t base = strlcpy(path, DIR "/", sizeof(path));

    memset(path + base, 'n', MAXNAMELEN);
    path[base + MAXNAMELEN - 1] = '\0';
    close(open_or_fail(path, O_WRONLY | O_CREAT));
    CHECK_IS(remove(path), 0);
    path[base + MAXNAMELEN - 1] = 'n';
    path[base + MAXNAMELEN] = '\0';
    CHECK_IS(open(path, O_WRONLY | O_CREAT), -E_BAD_PATH);
    memset(path, '/', sizeof(path) - 1);
    CHECK_IS(open(path, O_RDONLY), -E_BAD_PATH);
    CHECK(open("", O_WRONLY | O_CREAT) < 0, "a file without a name");
}

static void deep_dirs(void)
{
    char path[MAXPATHLEN] = DIR;
    int depth = 0;
    while (strlen(path) + 16 < MAXPATHLEN && depth < 60) {
        snprintf(path + strlen(path), 16, "/level%d", depth++);
        CHECK_IS(mkdir(path), 0);
    }
    CHECK_IS(mkdir(path), -E_FILE_EXISTS);
    size_t len = strlen(path);
    strcat(path, "/file");
    close(open_or_fail(path, O_WRONLY | O_CREAT));
    path[len] = '\0';
    CHECK_IS(remove(path), -E_NOT_EMPTY);
    strcat(path, "/file");
    for (char *slash; (slash = strrchr(path, '/')) > path + sizeof(DIR) - 2; *slash = '\0')
        CHECK_IS(remove(path), 0);
}

static int count_entries(const char *dir)
{
    struct Dirent d;
    int n = 0, fd = open_or_fail(dir, O_RDONLY);
    while (readn(fd, &d, sizeof(d)) == sizeof(d))
        n += d.d_name[0] != '\0';
    close(fd);
    return n;
}

static void many_files(void)
{
    enum {
        N = 200
    };
    char path[64];
    uint32_t value;
    for (uint32_t i = 0; i < N; i++) {
        snprintf(path, sizeof(path), DIR "/file%u", i);
        int fd = open_or_fail(path, O_WRONLY | O_CREAT);
        CHECK_IS(write(fd, &i, sizeof(i)), sizeof(i));
        close(fd);
    }
    CHECK_IS(count_entries(DIR), N);
    for (uint32_t i = 0; i < N; i++) {
        snprintf(path, sizeof(path), DIR "/file%u", i);
        int fd = open_or_fail(path, O_RDONLY);
        CHECK_IS(read(fd, &value, sizeof(value)), sizeof(value));
        CHECK_IS(value, i);
        close(fd);
        CHECK_IS(remove(path), 0);
    }
    CHECK_IS(count_entries(DIR), 0);
}

/* The same file, open in two places, and removed while it is. */
static void shared_use(void)
{
    char text[8];
    int a = open_or_fail(DIR "/shared", O_RDWR | O_CREAT);
    int b = open_or_fail(DIR "/shared", O_RDONLY);
    CHECK_IS(write(a, "hello", 5), 5);
    CHECK_IS(read(b, text, sizeof(text)), 5);
    envid_t child = fork();
    if (child == 0) {
        write(a, " you", 4);
        exit(0);
    }
    CHECK_IS(wait(child), 0);
    CHECK_IS(write(a, "!", 1), 1); /* the offset is common to parent and child */
    CHECK_IS(read(b, text, sizeof(text)), 5);
    CHECK(memcmp(text, " you!", 5) == 0, "the child's write is not where it should be");
    close(a);
    close(b);
    CHECK_IS(remove(DIR "/shared"), 0);
}

/* All descriptors in use. */
static void many_open(void)
{
    int n = 0, fd;
    while ((fd = open("/README", O_RDONLY)) >= 0)
        CHECK(++n <= MAXFD, "%d files are open", n);
    CHECK_IS(fd, -E_MAX_OPEN);
    for (int i = MAXFD - n; i < MAXFD; i++)
        close(i);
}

/* Ask the server for files without the library's table of descriptors, until it refuses; returns
 * how many it gave. The answer of the last one is in *r. */
static int open_raw(int *r)
{
    union Fsipc *request = (union Fsipc *)UTEMP;
    char *fds = (char *)UHEAP;
    struct IpcMessage answer;
    int n = 0;

    CHECK_IS(sys_page_alloc(0, request, PTE_P | PTE_U | PTE_W | PTE_NX), 0);
    do {
        strlcpy(request->open.path, "/README", MAXPATHLEN);
        request->open.mode = O_RDONLY;
        CHECK_IS(sys_ipc_call(ipc_find_env(ENV_TYPE_FS), FSREQ_OPEN, request,
                              PTE_P | PTE_U | PTE_W | PTE_NX, fds + n * PGSIZE, &answer),
                 0);
        *r = answer.value;
    } while (*r == 0 && ++n < RAW_OPENS);
    return n;
}

/* One env cannot take all of the server's open files from the others, and children do not help. */
static void open_share(void)
{
    int r, n;
    envid_t child = fork();

    if (child == 0) {
        n = open_raw(&r);
        CHECK(n < RAW_OPENS / 2, "one env has %d files open", n);
        CHECK_IS(r, -E_MAX_OPEN);
        child = fork();
        if (child == 0) {
            CHECK_IS(open("/README", O_RDONLY), -E_MAX_OPEN);
            exit(0);
        }
        CHECK_IS(wait(child), 0);
        exit(0);
    }
    CHECK_IS(wait(child), 0);
    CHECK(open_raw(&r) > 0, "what an ended env had open is still counted");
    for (char *p = (char *)UHEAP; p < (char *)UHEAP + RAW_OPENS * PGSIZE; p += PGSIZE)
        sys_page_unmap(0, p);
    sys_page_unmap(0, (void *)UTEMP);
}

/* The server's answer to a message of this value, sent past the library. */
static int64_t ask(uint64_t value)
{
    struct IpcMessage answer;
    CHECK_IS(sys_page_alloc(0, (void *)UTEMP, PTE_P | PTE_U | PTE_W | PTE_NX), 0);
    CHECK_IS(sys_ipc_call(ipc_find_env(ENV_TYPE_FS), value, (void *)UTEMP,
                          PTE_P | PTE_U | PTE_W | PTE_NX, (void *)UTOP, &answer),
             0);
    sys_page_unmap(0, (void *)UTEMP);
    return answer.value;
}

/* Who makes up a read's arguments, or the offset in the page that it shares with the server, gets
 * an error or nothing. */
static void bad_reads(void)
{
    int fd = open_or_fail("/README", O_RDONLY), wfd = open_or_fail(DIR "/w", O_WRONLY | O_CREAT);
    struct Fd *f = (struct Fd *)(FDTABLE + fd * PGSIZE);
    struct Fd *w = (struct Fd *)(FDTABLE + wfd * PGSIZE);
    uint32_t id = PGNUM(PTE_ADDR(uvpt_entry((uintptr_t)f)));
    uint32_t wid = PGNUM(PTE_ADDR(uvpt_entry((uintptr_t)w)));

    CHECK_IS(ask(FSREQ_READ_VALUE(id, 1)), 1);
    CHECK_IS(f->fd_offset, 1);
    CHECK_IS(ask(FSREQ_READ_VALUE(id, 0)), 0);
    CHECK_IS(ask(FSREQ_READ_VALUE(id, PGSIZE_FS + 1)), -E_INVAL);
    for (int bit = 0; bit < 32; bit++)
        CHECK_IS(ask(FSREQ_READ_VALUE(id ^ 1u << bit, 1)),
                 (id ^ 1u << bit) == wid ? -E_PERM : -E_NOT_OPEN);
    f->fd_offset = -1;
    CHECK_IS(ask(FSREQ_READ_VALUE(id, 1)), -E_INVAL);
    f->fd_offset = INT64_MAX;
    CHECK_IS(ask(FSREQ_READ_VALUE(id, PGSIZE_FS)), 0);
    CHECK_IS(ask(FSREQ_READ_VALUE(wid, 1)), -E_PERM);
    CHECK_IS(ask(0), -E_INVAL);
    CHECK_IS(ask(0xff), -E_INVAL);
    close(fd);
    close(wfd);
    CHECK_IS(remove(DIR "/w"), 0);
}

/* ---- Reads of several pages, past the library: they come at LENT, filled with FILL before ---- */

#define LENT ((uint8_t *)UHEAP)
#define FILL 0x5a
#define RW   ((uint64_t)(PTE_P | PTE_U | PTE_W | PTE_NX))

static uint32_t id_of(int fd)
{
    return PGNUM(PTE_ADDR(uvpt_entry(FDTABLE + (uintptr_t)fd * PGSIZE)));
}

static void lend_fresh(size_t npages)
{
    CHECK_IS(sys_page_alloc(0, LENT, RW | PERM_PAGES(npages)), 0);
    memset(LENT, FILL, npages * PGSIZE);
}

static void lend_no_more(void)
{
    for (size_t i = 0; i < PERM_PAGES_MAX; i++)
        sys_page_unmap(0, LENT + i * PGSIZE);
}

/* Ask for n bytes with npages lent; what the system call, or else the server, answers. */
static int64_t ask_lending(uint32_t id, size_t n, size_t npages, uint64_t perm)
{
    struct IpcMessage answer;
    int r = sys_ipc_call(ipc_find_env(ENV_TYPE_FS), FSREQ_READ_VALUE(id, n), LENT,
                         perm | PERM_PAGES(npages), (void *)UTOP, &answer);
    return r < 0 ? r : (int64_t)answer.value;
}

/* n bytes from an offset on are `want` in number and right, and nothing after them is touched. */
static void check_lent(int fd, off_t offset, size_t n, size_t npages, ssize_t want)
{
    struct Fd *f = (struct Fd *)(FDTABLE + (uintptr_t)fd * PGSIZE);
    uint32_t word;

    lend_fresh(npages);
    f->fd_offset = offset;
    CHECK_IS(ask_lending(id_of(fd), n, npages, RW), want);
    CHECK_IS(f->fd_offset, offset + want);
    for (ssize_t i = 0; i + (ssize_t)sizeof(word) <= want; i += sizeof(word)) {
        memcpy(&word, LENT + i, sizeof(word));
        CHECK(word == (uint32_t)((offset + i) / sizeof(word) * 2654435761u + 4),
              "wrong data at %ld", offset + i);
    }
    for (size_t i = want; i < npages * PGSIZE; i++)
        CHECK(LENT[i] == FILL, "byte %zu after the data was written to", i - want);
    for (size_t i = 0; i < npages; i++)
        CHECK_IS(pages[PGNUM(PTE_ADDR(uvpt_entry((uintptr_t)LENT + i * PGSIZE)))].pp_ref, 1);
    lend_no_more();
}

static void lent_pages(void)
{
    const size_t size = 40 * PGSIZE + 100;
    int error;

    CHECK_IS(write_file(DIR "/lent", 4, size, &error), size);
    int fd = open_or_fail(DIR "/lent", O_RDONLY);
    check_lent(fd, 0, FSREAD_MAX, 16, FSREAD_MAX);
    check_lent(fd, 17 * PGSIZE, FSREAD_MAX, 16, FSREAD_MAX);
    check_lent(fd, 1000, FSREAD_MAX, 16, FSREAD_MAX);
    check_lent(fd, 5 * PGSIZE, 3 * PGSIZE - 12, 3, 3 * PGSIZE - 12);
    check_lent(fd, 2 * PGSIZE, PGSIZE, 16, PGSIZE);
    check_lent(fd, 0, 0, 2, 0);
    check_lent(fd, 38 * PGSIZE, FSREAD_MAX, 16, 2 * PGSIZE + 100);
    check_lent(fd, size - 4, FSREAD_MAX, 16, 4);
    check_lent(fd, size, FSREAD_MAX, 16, 0);
    check_lent(fd, size + PGSIZE, FSREAD_MAX, 16, 0);
    close(fd);
    CHECK_IS(remove(DIR "/lent"), 0);
}

/* What cannot be served is an error, and leaves file and memory as they are. */
static void bad_lending(void)
{
    int fd = open_or_fail("/README", O_RDONLY), wfd = open_or_fail(DIR "/w", O_WRONLY | O_CREAT);
    uint32_t id = id_of(fd), wid = id_of(wfd);

    lend_fresh(PERM_PAGES_MAX);
    CHECK_IS(ask_lending(id, PGSIZE + 1, 1, RW), -E_INVAL);
    CHECK_IS(ask_lending(id, 4 * PGSIZE + 1, 4, RW), -E_INVAL);
    CHECK_IS(ask_lending(id, FSREAD_MAX + 1, PERM_PAGES_MAX, RW), -E_INVAL);
    CHECK_IS(ask_lending(id, 0xffffff, PERM_PAGES_MAX, RW), -E_INVAL);
    CHECK_IS(ask_lending(wid, FSREAD_MAX, PERM_PAGES_MAX, RW), -E_PERM);
    CHECK_IS(ask_lending(id, FSREAD_MAX, PERM_PAGES_MAX, RW & ~PTE_W), -E_INVAL);
    CHECK_IS(sys_page_map(0, LENT + 3 * PGSIZE, 0, LENT + 3 * PGSIZE, RW & ~PTE_W), 0);
    CHECK_IS(ask_lending(id, FSREAD_MAX, PERM_PAGES_MAX, RW), -E_INVAL);
    sys_page_unmap(0, LENT + 3 * PGSIZE);
    CHECK_IS(ask_lending(id, FSREAD_MAX, PERM_PAGES_MAX, RW), -E_INVAL);
    CHECK_IS(ask_lending(id, 3 * PGSIZE, 3, RW | PTE_PS), -E_INVAL);
    CHECK(ask_lending(id, 3 * PGSIZE, 3, RW) > 0, "three pages that are there are not taken");
    for (size_t i = 4 * PGSIZE; i < FSREAD_MAX; i++)
        CHECK(LENT[i] == FILL, "a read that was refused has written to byte %zu", i);
    close(fd);
    close(wfd);
    CHECK_IS(ask_lending(id, 3 * PGSIZE, 3, RW), -E_NOT_OPEN);
    lend_no_more();
    CHECK_IS(remove(DIR "/w"), 0);
}

/* Who has not got the file cannot read it, however many pages it lends. */
static void other_files(void)
{
    envid_t me = sys_getenvid(), child = fork();

    if (child == 0) {
        int fd = open_or_fail("/README", O_RDONLY);
        fd_keep(fd);
        ipc_send(me, id_of(fd), NULL, 0);
        ipc_recv(NULL, NULL, NULL);
        exit(0);
    }
    uint32_t id = ipc_recv(NULL, NULL, NULL);
    lend_fresh(2);
    CHECK_IS(ask_lending(id, 2 * PGSIZE, 2, RW), -E_NOT_OPEN);
    lend_no_more();
    ipc_send(child, 0, NULL, 0);
    CHECK_IS(wait(child), 0);
}

/* A long read into memory that is shared copy-on-write changes nobody else's. */
static void read_after_fork(void)
{
    static uint32_t mine[FSREAD_MAX / sizeof(uint32_t)] __attribute__((aligned(PGSIZE)));
    int error;

    CHECK_IS(write_file(DIR "/cow", 5, sizeof(mine), &error), sizeof(mine));
    memset(mine, FILL, sizeof(mine));
    envid_t child = fork();
    if (child == 0) {
        int fd = open_or_fail(DIR "/cow", O_RDONLY);
        CHECK_IS(read(fd, mine, sizeof(mine)), sizeof(mine));
        memcpy(buf, mine, sizeof(buf));
        check_filled(5, 0, sizeof(buf));
        exit(0);
    }
    CHECK_IS(wait(child), 0);
    for (size_t i = 0; i < ARRAY_SIZE(mine); i++)
        CHECK(mine[i] == FILL * 0x01010101u, "the child's read has changed word %zu", i);
    CHECK_IS(remove(DIR "/cow"), 0);
}

static uint64_t pages_free(void)
{
    struct SysInfo info;
    CHECK_IS(sys_sysinfo(&info), 0);
    return info.pages_free;
}

/* Readers that are ended at some moment of a long read take nothing with them. */
static void killed_readers(void)
{
    uint64_t before = 0;

    for (int i = 0; i < 40; i++) {
        envid_t child = fork();
        if (child == 0) {
            int fd = open_or_fail("/vmm/guest.img", O_RDONLY);
            lend_fresh(PERM_PAGES_MAX);
            for (;;)
                ask_lending(id_of(fd), FSREAD_MAX, PERM_PAGES_MAX, RW);
        }
        for (int n = 0; n < i % 8; n++)
            sys_yield();
        sys_sleep_msec(i % 3);
        CHECK_IS(sys_env_destroy(child), 0);
        wait(child);
        CHECK_IS(sync(), 0); /* the server is done with it */
        if (i == 20)
            before = pages_free();
    }
    /* The cache may have grown meanwhile, by what it had not read yet of the file. */
    CHECK(pages_free() + 20 * 2 * PERM_PAGES_MAX >= before, "%ld pages are missing",
          (long)(before - pages_free()));
}

static void disk_full(void)
{
    const size_t kept_size = 100000;
    int error;
    CHECK_IS(write_file(DIR "/kept", 2, kept_size, &error), kept_size);
    uint64_t before = blocks_free();
    size_t size = write_file(DIR "/fills", 3, 1ul << 32, &error);
    CHECK_IS(error, -E_NO_DISK);
    CHECK(blocks_free() < 8, "the disk is full with %lu blocks free", blocks_free());
    int r = open(DIR "/more", O_WRONLY | O_CREAT);
    if (r >= 0) {
        CHECK(write(r, buf, sizeof(buf)) < (ssize_t)sizeof(buf), "a full disk takes a file");
        close(r);
        remove(DIR "/more");
    }
    check_file(DIR "/kept", 2, kept_size);
    check_file(DIR "/fills", 3, size);
    CHECK_IS(remove(DIR "/fills"), 0);
    CHECK(blocks_free() + 1 >= before, "%ld blocks are missing", (long)(before - blocks_free()));
    check_file(DIR "/kept", 2, kept_size);
    CHECK_IS(remove(DIR "/kept"), 0);
}

static const struct Test tests[] = {
    { "modes", open_modes },
    { "offsets", offsets },
    { "names", names },
    { "deep-dirs", deep_dirs },
    { "many-files", many_files },
    { "shared-use", shared_use },
    { "many-open", many_open },
    { "open-share", open_share },
    { "large", large_file },
    { "bad-reads", bad_reads },
    { "lent-pages", lent_pages },
    { "bad-lending", bad_lending },
    { "other-files", other_files },
    { "read-after-fork", read_after_fork },
    { "killed-readers", killed_readers },
    { "disk-full", disk_full },
};

int umain(int argc, char **argv)
{
    int r = mkdir(DIR);
    CHECK(r == 0 || r == -E_FILE_EXISTS, "mkdir: %e", r);
    int status = run_tests(tests, ARRAY_SIZE(tests), argc, argv);
    remove(DIR);
    return status;
}
