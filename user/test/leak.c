/*
 * What programs held is free again when they have ended, however they ended.
 */
#include "test.h"

#define PATIENCE 5000 /* ms */

static struct SysInfo before, after;

static void run(const char *path)
{
    envid_t child = spawnl(path, path, NULL);
    CHECK(child > 0, "spawn %s: %e", path, child);
    wait(child);
}

/* Run once for what is allocated on first use, then n times; nothing may be missing afterwards. */
static void repeat(void (*fn)(void), int n)
{
    fn();
    sys_sysinfo(&before);
    for (int i = 0; i < n; i++)
        fn();
    sys_sysinfo(&after);
    CHECK(after.pages_free == before.pages_free, "%ld pages are missing after %d rounds",
          (long)(before.pages_free - after.pages_free), n);
    CHECK_IS(after.envs_used, before.envs_used);
}

static void spawn_true(void)
{
    run("/bin/true");
}

static void spawn_missing(void)
{
    CHECK_IS(spawnl("/bin/no-such-program", "x", NULL), -E_NOT_FOUND);
    CHECK_IS(spawnl("/README", "x", NULL), -E_NOT_EXEC);
}

static void fork_child(void)
{
    envid_t child = fork();
    if (child == 0)
        exit(0);
    CHECK_IS(wait(child), 0);
}

static void killed_child(void)
{
    envid_t child = fork();
    if (child == 0)
        for (;;)
            sys_yield();
    sys_yield();
    CHECK_IS(sys_env_destroy(child), 0);
    CHECK_IS(wait(child), EXIT_KILLED);
}

static uint64_t envs_used(void)
{
    struct SysInfo info;

    sys_sysinfo(&info);
    return info.envs_used;
}

/* A grandchild whose parent does not wait for it. Nobody is told when it ends: its slot is free
 * when all that it had is. */
static void orphan(void)
{
    uint64_t used = envs_used(), limit = sys_time_msec() + PATIENCE;
    envid_t child = fork();
    if (child == 0) {
        if (fork() == 0)
            exit(0);
        exit(0);
    }
    CHECK_IS(wait(child), 0);
    while (envs_used() != used) {
        CHECK(sys_time_msec() < limit, "the grandchild does not end");
        sys_sleep_msec(1);
    }
}

static void pipes_and_files(void)
{
    int fds[2];
    CHECK_IS(pipe(fds), 0);
    close(fds[0]);
    close(fds[1]);
    int fd = open("/README", O_RDONLY);
    CHECK(fd >= 0, "/README: %e", fd);
    close(fd);
}

static void test_spawn(void)
{
    repeat(spawn_true, 100);
}

static void test_missing(void)
{
    repeat(spawn_missing, 50);
}

static void test_fork(void)
{
    repeat(fork_child, 50);
}

static void test_killed(void)
{
    repeat(killed_child, 50);
}

static void test_orphan(void)
{
    repeat(orphan, 20);
}

static void test_files(void)
{
    repeat(pipes_and_files, 50);
}

static const struct Test tests[] = {
    { "spawn", test_spawn },   { "missing", test_missing }, { "fork", test_fork },
    { "killed", test_killed }, { "orphan", test_orphan },   { "files", test_files },
};

int umain(int argc, char **argv)
{
    return run_tests(tests, ARRAY_SIZE(tests), argc, argv);
}
