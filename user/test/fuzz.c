/*
 * Guests that run random bytes as code (user/guests/fuzz.c), one after the other, each with a limit
 * in time. Prints each one's seed before it starts, and how many pieces of code ran; afterwards all
 * pages and envs must be free again.
 */
#include "test.h"

#define CONSOLE_FD (MAXFD - 1)
#define OUTPUT     "/tmp/fuzz.out"
#define IMAGE      "/vmm/fuzz.img"
#define LIMIT_MS   300
#define LONG_MS    5000 /* for guests that end by themselves, on a loaded build machine too */
#define GONE_MS    1000
#define CPUS_MAX   8u
#define SPIN_MS    200   /* enough for a guest on every CPU */
#define RUNS       "400" /* pieces for one guest in long mode */
#define SEED_MAX   1000000000u

static const char *const modes[] = { "long", "long", "long", "prot", "real" };
static uint64_t random_state;
static unsigned long ended, stopped, pieces;

/* Knuth's MMIX generator, high bits. */
static uint64_t roll(void)
{
    random_state = random_state * 6364136223846793005ul + 1442695040888963407ul;
    return random_state >> 33;
}

/* Input is a pipe that nobody writes to, output a file. */
static void redirect(void)
{
    int fds[2], out = open(OUTPUT, O_WRONLY | O_CREAT | O_TRUNC);
    CHECK(out >= 0, "%s: %e", OUTPUT, out);
    CHECK_IS(pipe(fds), 0);
    close(fds[1]);
    dup(fds[0], 0);
    close(fds[0]);
    dup(out, 1);
    dup(out, 2);
    close(out);
}

static void restore_console(void)
{
    for (int fd = 0; fd <= 2; fd++)
        dup(CONSOLE_FD, fd);
}

static void count_pieces(void)
{
    static char buf[PGSIZE];
    int n, fd = open(OUTPUT, O_RDONLY);
    CHECK(fd >= 0, "%s: %e", OUTPUT, fd);
    while ((n = read(fd, buf, sizeof(buf))) > 0)
        for (int i = 0; i < n; i++)
            pieces += buf[i] == '.';
    close(fd);
}

/* Wait for its end, or bring it about. */
static void end_guest(envid_t vmm, uint64_t limit)
{
    uint64_t end = sys_time_msec() + limit;
    while ((uint64_t)sys_time_msec() < end) {
        if (sys_env_wait(vmm, NULL, true) == vmm) {
            ended++;
            return;
        }
        sys_sleep_msec(1);
    }
    stopped++;
    sys_env_destroy(vmm);
    sys_env_wait(vmm, NULL, false);
}

static void one_guest(unsigned long nr)
{
    char args[80];
    const char *mode = modes[roll() % ARRAY_SIZE(modes)];
    snprintf(args, sizeof(args), "mode=%s seed=%lu runs=" RUNS, mode, roll() % SEED_MAX);
    printf("%lu: %s\n", nr, args);
    redirect();
    envid_t vmm = spawnl("/bin/vmm", "vmm", "-n", "fuzz", "-m", "16M", "-k", "/vmm/guests/fuzz",
                         "-a", args, NULL);
    restore_console();
    CHECK(vmm > 0, "spawn vmm: %e", vmm);
    end_guest(vmm, strcmp(mode, "long") == 0 ? LONG_MS : LIMIT_MS);
    count_pieces();
}

/* Each CPU keeps a page for virtualization from its first guest on. */
static void use_all_cpus(void)
{
    char name[ENV_NAME_LEN], image[MAXPATHLEN];
    envid_t vmm[2 * CPUS_MAX];
    struct SysInfo info;

    sys_sysinfo(&info);
    unsigned ncpu = MIN(info.ncpu, CPUS_MAX);
    redirect();
    for (unsigned i = 0; i < 2 * ncpu; i++) {
        snprintf(name, sizeof(name), "spin%u", i);
        vmm[i] =
            spawnl("/bin/vmm", "vmm", "-n", name, "-m", "16M", "-k", "/vmm/guests/cli-spin", NULL);
    }
    restore_console();
    sys_sleep_msec(SPIN_MS);
    for (unsigned i = 0; i < 2 * ncpu; i++) {
        CHECK(vmm[i] > 0, "spawn vmm: %e", vmm[i]);
        sys_env_destroy(vmm[i]);
        sys_env_wait(vmm[i], NULL, false);
        snprintf(image, sizeof(image), "/vmm/spin%u.img", i);
        remove(image);
    }
}

struct Account {
    uint64_t pages, envs;
};

/* Pages of the file server count as free: its cache grows with what is read. */
static struct Account account(void)
{
    struct SysInfo info;
    sys_sysinfo(&info);
    return (struct Account){ .pages =
                                 info.pages_free + envs[ENVX(ipc_find_env(ENV_TYPE_FS))].env_pages,
                             .envs = info.envs_used };
}

/* The same when all that was started here is gone: `envs` were in use before. */
static struct Account account_alone(uint64_t envs)
{
    for (int i = 0; i < GONE_MS && account().envs != envs; i++)
        sys_sleep_msec(1);
    return account();
}

/* What has ended may still be on its way out. */
static struct Account account_again(struct Account before)
{
    struct Account now = account();
    for (int i = 0; i < GONE_MS && (now.pages != before.pages || now.envs != before.envs); i++) {
        sys_sleep_msec(1);
        now = account();
    }
    return now;
}

int umain(int argc, char **argv)
{
    unsigned long guests = argc > 1 ? strtoul(argv[1], NULL, 10) : 10;
    unsigned long seed = argc > 2 ? strtoul(argv[2], NULL, 10) : sys_time_msec();

    CHECK(guests > 0 && argc <= 3, "usage: test-fuzz [GUESTS [SEED]]");
    dup(0, CONSOLE_FD);
    fd_keep(CONSOLE_FD);
    random_state = seed;
    printf("seed: %lu\n", seed);
    uint64_t envs_used = account().envs;
    use_all_cpus();
    one_guest(0); /* what the first one leaves in caches is there now */
    sys_sleep_msec(LIMIT_MS);
    struct Account before = account_alone(envs_used);
    for (unsigned long i = 1; i <= guests; i++)
        one_guest(i);
    struct Account after = account_again(before);
    remove(OUTPUT);
    remove(IMAGE);
    printf("guests started: %lu (ended by themselves %lu, by the limit %lu)\npieces of code: %lu\n"
           "free pages: %lu before, %lu after\nenvs: %lu before, %lu after\n",
           ended + stopped, ended, stopped, pieces, before.pages, after.pages, before.envs,
           after.envs);
    test_now = "free again";
    CHECK_IS(after.pages, before.pages);
    CHECK_IS(after.envs, before.envs);
    printf("%s: ok\n", binaryname);
    return 0;
}
