/*
 * Pages that programs share without trusting each other: the descriptor of the console, which all
 * programs have, and the data of a pipe. A hostile env writes what it likes there; its neighbours
 * must go on or get an error, and touch no memory but their own buffers and the ring.
 */
#include <inc/once.h>
#include "hostile.h"

#define RACE_MS    30   /* how long one scribbles beside a victim */
#define PATIENCE   5000 /* ms for a victim to come to its end */
#define NEIGHBOURS 3    /* pages behind a pipe's data that nobody may touch */
#define TRANSFER   6000 /* bytes, more than a ring has */
#define GUARD      0x5a
#define HEADER     4 /* words of a pipe's page that rule the ring */

/* ---- The console ---- */

static volatile uint32_t *fd_words(int fd)
{
    return (volatile uint32_t *)(FDTABLE + fd * PGSIZE);
}

/* Write these words into a descriptor by whatever way there is. */
static void scribble_fd(int fd, uint32_t dev_id, uint32_t omode)
{
    volatile uint32_t *words = fd_words(fd);
    void *page = (void *)words;

    sys_page_map(0, page, 0, page, PERM_RW | PTE_SHARE);
    sys_page_map(0, page, 0, (void *)UTEMP, PERM_RW);
    if (uvpt_entry((uintptr_t)words) & PTE_W) {
        words[0] = dev_id;
        words[1] = omode;
    }
}

static void console_works(void)
{
    CHECK(iscons(1), "descriptor 1 is no longer the console");
    CHECK_IS(write(1, "", 0), 0);
    envid_t echo = spawnl("/bin/echo", "echo", "-", NULL);
    CHECK(echo > 0, "echo: %e", echo);
    CHECK_IS(wait(echo), 0);
}

void scribble_descriptors(void)
{
    static const uint32_t dev_ids[] = { 'f', 'p', 0, 'x', UINT32_MAX };

    test_now = "descriptors";
    for (size_t i = 0; i < ARRAY_SIZE(dev_ids); i++) {
        envid_t child = start_env();
        if (child == 0) {
            for (int fd = 0; fd < 3; fd++)
                scribble_fd(fd, dev_ids[i], roll(4));
            exit(0);
        }
        CHECK_IS(wait(child), 0);
        console_works();
    }
    envid_t child = start_env();
    if (child == 0) {
        *fd_words(1) = 'p';
        exit(0);
    }
    CHECK_IS(wait(child), EXIT_FAULT);
    console_works();
}

/* ---- An open file that is inherited ---- */

#define SHARED_FILE "/tmp/shared"
#define WORDS       "where they belong"

static void __attribute__((noreturn)) scribble_for_ever(int fd)
{
    for (;;)
        fd_words(fd)[roll(PGSIZE / sizeof(uint32_t))] = roll(UINT32_MAX) << roll(32);
}

static void file_works(int fd)
{
    char text[sizeof(WORDS)];

    CHECK_IS(seek(fd, 0), 0);
    CHECK_IS(write(fd, WORDS, sizeof(WORDS)), sizeof(WORDS));
    CHECK_IS(seek(fd, 0), 0);
    CHECK_IS(readn(fd, text, sizeof(text)), sizeof(text));
    CHECK(memcmp(text, WORDS, sizeof(text)) == 0, "wrong bytes");
    CHECK(!iscons(fd) && pipeisclosed(fd), "a file is taken for something else");
}

/* The offset is common, so a sharer may move it anywhere; the file stays the same one. */
void scribble_files(void)
{
    char text[sizeof(WORDS)];
    struct Stat st;

    test_now = "shared-file";
    int fd = open(SHARED_FILE, O_RDWR | O_CREAT | O_TRUNC);
    CHECK(fd >= 0, SHARED_FILE ": %e", fd);
    envid_t child = start_env();
    if (child == 0)
        scribble_for_ever(fd);
    for (uint64_t end = sys_time_msec() + RACE_MS; sys_time_msec() < end;) {
        ssize_t n = write(fd, WORDS, sizeof(WORDS));
        CHECK(n >= 0 || n == -E_INVAL || n == -E_TOO_BIG, "write: %e", (int)n);
        n = read(fd, text, sizeof(text));
        CHECK(n >= 0 || n == -E_INVAL, "read: %e", (int)n);
        CHECK_IS(fstat(fd, &st), 0);
    }
    sys_env_destroy(child);
    wait(child);
    file_works(fd);
    close(fd);
    CHECK_IS(remove(SHARED_FILE), 0);
}

/* ---- Pipes ---- */

static char buf[TRANSFER + PGSIZE];

static char *pipe_data(int fd)
{
    return (char *)(FDDATA + fd * PGSIZE);
}

/* Pages right behind the data of descriptor fd, which is the highest. */
static void put_guards(int fd)
{
    for (int i = 1; i <= NEIGHBOURS; i++) {
        CHECK_IS(sys_page_alloc(0, pipe_data(fd + i), PERM_RW), 0);
        memset(pipe_data(fd + i), GUARD, PGSIZE);
    }
    memset(buf + TRANSFER, GUARD, PGSIZE);
}

static bool is_guard(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != GUARD)
            return false;
    return true;
}

static void look_at_guards(int fd)
{
    CHECK(is_guard(pipe_data(fd + 1), NEIGHBOURS * PGSIZE), "memory behind the ring was changed");
    CHECK(is_guard(buf + TRANSFER, PGSIZE), "memory behind the buffer was changed");
}

/* Use one end until the other is closed, or an error comes. */
static void __attribute__((noreturn)) be_victim(int fd, bool writes)
{
    ssize_t n;

    put_guards(fd);
    do
        n = writes ? write(fd, buf, TRANSFER) : read(fd, buf, TRANSFER);
    while (n > 0);
    look_at_guards(fd);
    CHECK(n == 0 || n == -E_EOF || n == -E_IO, "result %ld", (long)n);
    exit(0);
}

static uint64_t any_position(void)
{
    static const uint64_t values[] = { 0, 1, 4031, 4032, 4033, 8064, 1ul << 32, ~0ul, ~0ul - 4032 };
    return roll(4) ? values[roll(ARRAY_SIZE(values))] : roll(UINT32_MAX) << roll(32);
}

static void scribble_header(volatile uint64_t *words)
{
    envid_t init = ipc_find_env(ENV_TYPE_INIT);

    if (roll(3) == 0)
        words[2 + roll(HEADER - 2)] = (uint64_t)init << 32 | (uint32_t)init;
    else
        words[roll(HEADER)] = any_position();
}

/* A victim at one end, and this env, which scribbles, at the other. `race`: while the victim works;
 * else once, before it starts. */
static void attack(bool victim_writes, bool race)
{
    int fds[2], mine, theirs;

    CHECK_IS(pipe(fds), 0);
    mine = fds[!victim_writes];
    theirs = fds[victim_writes];
    volatile uint64_t *words = (volatile uint64_t *)pipe_data(mine);
    if (!race)
        scribble_header(words);
    envid_t victim = start_env();
    if (victim == 0) {
        dup(theirs, MAXFD - NEIGHBOURS - 1);
        close(fds[0]);
        close(fds[1]);
        be_victim(MAXFD - NEIGHBOURS - 1, victim_writes);
    }
    close(theirs);
    for (uint64_t end = sys_time_msec() + RACE_MS; race && sys_time_msec() < end;)
        for (int i = 0; i < 100; i++)
            scribble_header(words);
    close(mine);
    CHECK_IS(end_env(victim, PATIENCE), 0);
    count(&tally->races, 1);
}

/* A co-writer gives the writers' lock to somebody who never had it, and dies; or, if there is
 * another one, goes on and gives it to the two by turns. */
static void attack_lock(envid_t holder, envid_t other)
{
    int fds[2];

    CHECK_IS(pipe(fds), 0);
    volatile uint32_t *words = (volatile uint32_t *)pipe_data(fds[1]);
    envid_t attacker = start_env();
    if (attacker == 0) {
        words[4] = words[5] = holder;
        while (other)
            words[4] = words[4] == (uint32_t)holder ? other : holder;
        exit(0);
    }
    if (other)
        while (words[5] == 0)
            sys_yield();
    else
        CHECK_IS(wait(attacker), 0);
    envid_t child = start_env();
    if (child == 0)
        exit(write(fds[1], "word", 4) != 4);
    CHECK_IS(end_env(child, PATIENCE), 0);
    if (other) {
        sys_env_destroy(attacker);
        wait(attacker);
    }
    child = start_env();
    if (child == 0)
        exit(read(fds[0], buf, TRANSFER) != 4);
    CHECK_IS(end_env(child, PATIENCE), 0);
    close(fds[0]);
    close(fds[1]);
}

static void spin_for_ever(void)
{
    for (;;)
        asm volatile("pause");
}

void scribble_pipes(void)
{
    test_now = "pipes";
    for (uint64_t i = 0; i < 10 * rounds; i++)
        for (int writes = 0; writes < 2; writes++) {
            attack(writes, false);
            attack(writes, true);
        }
    attack_lock(ipc_find_env(ENV_TYPE_INIT), 0);
    attack_lock(ipc_find_env(ENV_TYPE_FS), 0);
    envid_t spinner[2];
    for (int i = 0; i < 2; i++) {
        spinner[i] = start_env();
        if (spinner[i] == 0)
            spin_for_ever();
    }
    attack_lock(spinner[0], 0);
    attack_lock(spinner[0], spinner[1]);
    for (int i = 0; i < 2; i++) {
        sys_env_destroy(spinner[i]);
        end_env(spinner[i], PATIENCE);
    }
}
