/*
 * Open files of others. How a file is called in requests is no secret, so a program can ask for any
 * file that is open anywhere; it gets only those that it has opened or inherited.
 */
#include "hostile.h"

#define SECRET   "/tmp/secret"
#define WORDS    "only for me"
#define CHILDREN 12 /* more than the server remembers for one file */
#define TURNS    20

static int64_t ask(uint64_t value)
{
    struct IpcMessage m;
    int r =
        sys_ipc_call(ipc_find_env(ENV_TYPE_FS), value, (void *)UTEMP, PERM_RW, (void *)UTOP, &m);
    return r < 0 ? r : (int64_t)m.value;
}

/* All requests that name an open file, with this id. None may be answered. */
static void try_id(uint32_t id)
{
    union Fsipc *request = (union Fsipc *)UTEMP;

    count(&tally->probes, 1);
    CHECK(ask(FSREQ_READ_VALUE(id, sizeof(WORDS))) < 0, "id %#x can be read", id);
    request->stat.fileid = id;
    CHECK(ask(FSREQ_STAT) < 0, "id %#x shows its size", id);
    request->write.fileid = id;
    request->write.n = 1;
    request->write.offset = 0;
    CHECK(ask(FSREQ_WRITE) < 0, "id %#x can be written", id);
    request->set_size.fileid = id;
    request->set_size.size = 0;
    CHECK(ask(FSREQ_SET_SIZE) < 0, "id %#x can be truncated", id);
}

static uint32_t frame_of(const void *page)
{
    return PGNUM(PTE_ADDR(uvpt_entry((uintptr_t)page)));
}

/* A thief that knows everything about the file, and the words in its page, but no longer has it. */
static void __attribute__((noreturn)) thief(uint32_t frame, const uint32_t *words, size_t n)
{
    close_all();
    opencons();
    dup(0, 1);
    CHECK_IS(sys_page_alloc(0, (void *)UTEMP, PERM_RW), 0);
    CHECK_IS(ask(FSREQ_SHOW), -E_INVAL);
    try_id(frame);
    for (size_t i = 0; i < n; i++)
        try_id(words[i]);
    exit(0);
}

static void send_thief(int fd)
{
    static uint32_t words[sizeof(struct Fd) / sizeof(uint32_t)];
    const void *page = (void *)(FDTABLE + fd * PGSIZE);

    memcpy(words, page, sizeof(words));
    envid_t child = start_env();
    if (child == 0)
        thief(frame_of(page), words, ARRAY_SIZE(words));
    CHECK_IS(wait(child), 0);
}

static void check_secret(int fd)
{
    char text[sizeof(WORDS)];

    CHECK_IS(seek(fd, 0), 0);
    CHECK_IS(readn(fd, text, sizeof(text)), sizeof(text));
    CHECK(memcmp(text, WORDS, sizeof(text)) == 0, "the file was changed");
}

/* Ask for every frame that there is, as somebody would who wants the program that is being loaded
 * just now. */
static void __attribute__((noreturn)) sweep(void)
{
    struct SysInfo info;

    close_all();
    opencons();
    dup(0, 1);
    CHECK_IS(sys_page_alloc(0, (void *)UTEMP, PERM_RW), 0);
    sys_sysinfo(&info);
    for (;; count(&tally->steps, 1))
        for (uint32_t id = 0; id < info.pages_total; id++, count(&tally->probes, 1))
            CHECK(ask(FSREQ_READ_VALUE(id, 1)) < 0, "id %#x can be read", id);
}

/* Who closes a file as the last one gives up his right to it. */
static void ask_after_close(void)
{
    int fd = open(SECRET, O_RDWR | O_CREAT | O_TRUNC);

    CHECK(fd >= 0, SECRET ": %e", fd);
    CHECK_IS(write(fd, WORDS, sizeof(WORDS)), sizeof(WORDS));
    uint32_t frame = frame_of((void *)(FDTABLE + fd * PGSIZE));
    close(fd);
    CHECK_IS(sys_page_alloc(0, (void *)UTEMP, PERM_RW), 0);
    try_id(frame);
    CHECK_IS(sys_page_unmap(0, (void *)UTEMP), 0);
}

void steal_files(void)
{
    test_now = "rights";
    ask_after_close();
    int fd = open(SECRET, O_RDWR | O_CREAT | O_TRUNC);
    CHECK(fd >= 0, SECRET ": %e", fd);
    CHECK_IS(write(fd, WORDS, sizeof(WORDS)), sizeof(WORDS));
    send_thief(fd);
    check_secret(fd);
    CHECK_IS(remove(SECRET), 0); /* open and without a name */
    send_thief(fd);
    check_secret(fd);
    close(fd);

    envid_t sweeper = start_env();
    if (sweeper == 0)
        sweep();
    for (uint64_t before = tally->steps; env_alive(sweeper) && tally->steps == before;) {
        envid_t child = spawnl("/bin/true", "true", NULL);
        CHECK(child > 0, "a program, while another one asks for its file: %e", child);
        CHECK_IS(wait(child), 0);
    }
    CHECK(env_alive(sweeper), "an open file was given to somebody else");
    sys_env_destroy(sweeper);
    wait(sweeper);
}

/* More children than the server remembers use one inherited file by turns. */
void share_files(void)
{
    envid_t child[CHILDREN];
    struct Stat st;

    test_now = "inherited";
    int fd = open(SECRET, O_RDWR | O_CREAT | O_TRUNC);
    CHECK(fd >= 0, SECRET ": %e", fd);
    for (int i = 0; i < CHILDREN; i++) {
        child[i] = start_env();
        for (int n = 0; child[i] == 0 && n < TURNS; n++) {
            CHECK_IS(write(fd, WORDS, sizeof(WORDS)), sizeof(WORDS));
            CHECK_IS(fstat(fd, &st), 0);
            sys_yield();
        }
        if (child[i] == 0)
            exit(0);
    }
    for (int i = 0; i < CHILDREN; i++)
        CHECK_IS(wait(child[i]), 0);
    CHECK_IS(fstat(fd, &st), 0);
    CHECK_IS(st.st_size, CHILDREN * TURNS * sizeof(WORDS));
    check_secret(fd);
    dup(1, MAXFD - 1); /* programs get it, too */
    dup(fd, 1);
    CHECK_IS(seek(fd, 0), 0);
    envid_t echo = spawnl("/bin/echo", "echo", "-n", WORDS, NULL);
    dup(MAXFD - 1, 1);
    close(MAXFD - 1);
    CHECK_IS(wait(echo), 0);
    close(fd);
    CHECK_IS(remove(SECRET), 0);
}
