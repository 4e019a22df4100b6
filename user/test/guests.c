/*
 * Guests are started and killed at random moments: while they are loaded, boot, use their disks,
 * are idle, or have a console. Afterwards all pages, envs and disk blocks must be free again.
 * Prints what it did, and the seed that makes it do the same again. No other guest may run
 * meanwhile.
 */
#include "test.h"

#define MAX_AT_ONCE   3
#define CONSOLE_FD    (MAXFD - 1)
#define FILL_PATH     "/tmp/fill"
#define FILL_BYTES    (40ul << 20) /* guests bring less than that into the file server's cache */
#define SPIN_MS       200          /* enough for a guest on every CPU */
#define CLEANUP_TRIES 5000

static const char *const names[MAX_AT_ONCE] = { "t0", "t1", "t2" };
static const char *const images[MAX_AT_ONCE] = { "/vmm/t0.img", "/vmm/t1.img", "/vmm/t2.img" };

/* How a guest is started, and how long it may live, ms. */
static const struct Kind {
    const char *word;
    const char *args; /* its command line */
    bool foreground, attach;
    unsigned max_ms;
} kinds[] = {
    { "boot", "", false, false, 60 },
    { "idle", "", false, false, 400 },
    { "disk", "run=test-fs", false, false, 800 },
    { "foreground", "", true, false, 200 },
    { "attached", "", false, true, 300 },
};

/* What a guest was doing when it was killed. */
enum Moment {
    AT_START,
    AT_LOAD,
    AT_RUN,
    AT_DISK,
    AT_IDLE,
    NMOMENTS
};
static const char *const moment_words[NMOMENTS] = { "starting", "loading", "running", "disk",
                                                    "idle" };
static unsigned moments[NMOMENTS], kinds_started[ARRAY_SIZE(kinds)], kills;

static uint64_t random_state;

/* Knuth's MMIX generator, high bits. */
static unsigned roll(unsigned n)
{
    random_state = random_state * 6364136223846793005ul + 1442695040888963407ul;
    return (random_state >> 33) % n;
}

/* ---- Starting ---- */

/* fd 0 becomes a pipe that nobody writes to, as the shell does it for programs in the background.
 */
static void close_input(void)
{
    int fds[2];
    CHECK_IS(pipe(fds), 0);
    close(fds[1]);
    dup(fds[0], 0);
    close(fds[0]);
}

static envid_t start(const struct Kind *k, const char *name)
{
    if (k->foreground)
        dup(CONSOLE_FD, 0);
    else
        close_input();
    envid_t vmm = spawnl("/bin/vmm", "vmm", "-n", name, "-m", "32M", "-a", k->args, NULL);
    CHECK(vmm > 0, "spawn vmm: %e", vmm);
    if (k->attach)
        while (env_alive(vmm) && !guest_named(name, 0))
            sys_sleep_msec(1);
    if (k->attach)
        spawnl("/bin/vmm", "vmm", "attach", name, NULL);
    return vmm;
}

/* ---- Ending ---- */

static enum Moment moment_of(envid_t guest)
{
    const volatile struct Env *e = &envs[ENVX(guest)];

    if (guest == 0)
        return AT_START;
    if (e->env_status != ENV_NOT_RUNNABLE)
        return AT_RUN;
    switch (e->env_wait) {
    case WAIT_NONE:
        return AT_LOAD;
    case WAIT_HLT:
        return AT_IDLE;
    case WAIT_HOSTSEND:
    case WAIT_HOSTRECV:
        return AT_DISK;
    }
    return AT_RUN;
}

/* One of the three: the monitor, the guest, or what the user started. */
static void kill_one(const char *name, envid_t vmm)
{
    envid_t guest = guest_named(name, 0), victim = vmm;

    moments[moment_of(guest)]++;
    kills++;
    if (guest && roll(3) == 0)
        victim = guest;
    else if (guest && roll(2) == 0)
        victim = envs[ENVX(guest)].env_parent_id;
    sys_env_destroy(victim);
}

/* End whatever vmm there is. Returns whether any, or a guest, is left. */
static bool end_all(void)
{
    char name[ENV_NAME_LEN];
    bool left = false;

    for (int i = 0; i < NENV; i++) {
        uint32_t status = envs[i].env_status;
        if (status == ENV_FREE || status == ENV_ZOMBIE)
            continue;
        env_get_name(envs[i].env_id, name);
        if (strcmp(name, "vmm") == 0)
            sys_env_destroy(envs[i].env_id);
        else if (envs[i].env_type != ENV_TYPE_GUEST)
            continue;
        left = true;
    }
    return left;
}

static void clean_up(void)
{
    for (int i = 0; i < CLEANUP_TRIES && end_all(); i++)
        sys_sleep_msec(1);
    CHECK(!end_all(), "guests or monitors do not end");
    while (sys_env_wait(0, NULL, true) > 0)
        continue;
}

/* How long a guest lives, ms: long or short, since the first few milliseconds have most of the
 * moments that differ. */
static unsigned lifetime(unsigned max_ms)
{
    static const unsigned parts[] = { 1, 1, 8, 64 };
    return roll(max_ms / parts[roll(ARRAY_SIZE(parts))] + 1);
}

/* Start up to n guests, and kill one after the other. Returns how many it started. */
static unsigned round_of(unsigned n)
{
    unsigned count = MIN(1 + roll(MAX_AT_ONCE), n), max_ms[MAX_AT_ONCE];
    envid_t vmm[MAX_AT_ONCE];

    for (unsigned i = 0; i < count; i++) {
        unsigned kind = roll(ARRAY_SIZE(kinds));
        kinds_started[kind]++;
        max_ms[i] = kinds[kind].max_ms;
        vmm[i] = start(&kinds[kind], names[i]);
    }
    for (unsigned i = 0; i < count; i++) {
        sys_sleep_msec(lifetime(max_ms[i]));
        kill_one(names[i], vmm[i]);
    }
    clean_up();
    return count;
}

/* ---- Accounts ---- */

struct Account {
    uint64_t pages, envs, blocks;
};

/* Pages of the file server count as free: its cache grows with what is read. */
static struct Account account(void)
{
    struct SysInfo info;
    uint64_t total, blocks;

    dup(CONSOLE_FD, 0); /* a pipe that may be there has two pages */
    for (unsigned i = 0; i < MAX_AT_ONCE; i++)
        remove(images[i]);
    CHECK_IS(sync(), 0);
    CHECK_IS(statfs(&total, &blocks), 0);
    sys_sysinfo(&info);
    return (struct Account){ .pages =
                                 info.pages_free + envs[ENVX(ipc_find_env(ENV_TYPE_FS))].env_pages,
                             .envs = info.envs_used,
                             .blocks = blocks };
}

/* Fill the file server's cache, so that it needs no more page tables. */
static void fill_cache(void)
{
    static char buf[PGSIZE];
    int fd = open(FILL_PATH, O_WRONLY | O_CREAT | O_TRUNC);

    CHECK(fd >= 0, "%s: %e", FILL_PATH, fd);
    for (size_t done = 0; done < FILL_BYTES; done += sizeof(buf))
        CHECK_IS(writen(fd, buf, sizeof(buf)), 0);
    close(fd);
    remove(FILL_PATH);
}

/* Each CPU keeps a page for virtualization from its first guest on. */
static void use_all_cpus(unsigned ncpu)
{
    char name[ENV_NAME_LEN], image[MAXPATHLEN];

    close_input();
    for (unsigned i = 0; i < 2 * ncpu; i++) {
        snprintf(name, sizeof(name), "spin%u", i);
        spawnl("/bin/vmm", "vmm", "-n", name, "-k", "/vmm/guests/cli-spin", NULL);
    }
    sys_sleep_msec(SPIN_MS);
    clean_up();
    for (unsigned i = 0; i < 2 * ncpu; i++) {
        snprintf(image, sizeof(image), "/vmm/spin%u.img", i);
        remove(image);
    }
}

static void warm_up(unsigned ncpu)
{
    fill_cache();
    use_all_cpus(ncpu);
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        start(&kinds[i], names[0]);
        sys_sleep_msec(kinds[i].max_ms);
        clean_up();
    }
}

static void report(unsigned started, const struct SysInfo *info, struct Account before,
                   struct Account after)
{
    printf("CPUs started: %u\nguests started: %u (", info->ncpu, started);
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
        printf("%s%s %u", i ? ", " : "", kinds[i].word, kinds_started[i]);
    printf(")\nkills: %u (", kills);
    for (unsigned i = 0; i < NMOMENTS; i++)
        printf("%s%s %u", i ? ", " : "", moment_words[i], moments[i]);
    printf(")\nfree pages: %lu before, %lu after\nenvs: %lu before, %lu after\n"
           "free disk blocks: %lu before, %lu after\n",
           before.pages, after.pages, before.envs, after.envs, before.blocks, after.blocks);
}

int umain(int argc, char **argv)
{
    unsigned long starts = argc > 1 ? strtoul(argv[1], NULL, 10) : 10;
    unsigned long seed = argc > 2 ? strtoul(argv[2], NULL, 10) : sys_time_msec();
    struct SysInfo info;
    unsigned started = 0;

    CHECK(starts > 0 && argc <= 3, "usage: test-guests [STARTS [SEED]]");
    dup(0, CONSOLE_FD);
    fd_keep(CONSOLE_FD);
    sys_sysinfo(&info);
    random_state = seed;
    printf("seed: %lu\n", seed);
    warm_up(info.ncpu);
    struct Account before = account();
    while (started < starts)
        started += round_of(starts - started);
    struct Account after = account();
    report(started, &info, before, after);
    test_now = "free again";
    CHECK_IS(after.pages, before.pages);
    CHECK_IS(after.envs, before.envs);
    CHECK_IS(after.blocks, before.blocks);
    printf("%s: ok\n", binaryname);
    return 0;
}
