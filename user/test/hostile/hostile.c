/*
 * Programs that mean harm: bad and random system calls, races between two envs, reading of memory
 * that is not theirs, and taking all that there is. Whatever they do is an error for them, and
 * afterwards everything is free again.
 *
 *     test-hostile [-s SEED] [-n ROUNDS] [-t HOLD_MS] [TEST...]
 */
#include "hostile.h"

#define CACHE_FILE  "/tmp/cache"
#define CACHE_CHUNK 65536
#define MAX_CPUS    8
#define SPIN_MS     400  /* for every CPU to get a guest */
#define SETTLE_MS   3000 /* what has ended may still be on its way out: without any progress */

volatile struct Tally *tally;
uint64_t seed = 1, rounds = 1, hold, random_state;

int64_t attempt(uint64_t nr, const uint64_t args[5])
{
    register uint64_t r10 asm("r10") = args[3];
    register uint64_t r8 asm("r8") = args[4];
    uint64_t rdi = args[0], rsi = args[1], rdx = args[2]; /* a message that comes is left there */
    int64_t r;

    asm volatile("syscall"
                 : "=a"(r), "+D"(rdi), "+S"(rsi), "+d"(rdx)
                 : "a"(nr), "r"(r10), "r"(r8)
                 : "rcx", "r11", "memory");
    count(&tally->calls, 1);
    count(&tally->refused, r < 0);
    return r;
}

envid_t try_env(void)
{
    uint64_t next = roll(UINT32_MAX);
    envid_t child = fork();

    if (child == 0)
        random_state = next;
    else if (child > 0)
        count(&tally->envs, 1);
    return child;
}

envid_t start_env(void)
{
    envid_t child = try_env();

    CHECK(child >= 0, "fork: %e", child);
    return child;
}

int end_env(envid_t child, uint64_t limit_ms)
{
    uint64_t end = sys_time_msec() + limit_ms;
    int status = 0;

    while (sys_env_wait(child, &status, true) == 0) {
        if (sys_time_msec() >= end)
            sys_env_destroy(child);
        else
            sys_sleep_msec(1);
    }
    return status;
}

envid_t make_guest(void)
{
    char why[8];
    envid_t guest = sys_env_mkguest(GUEST_MEM_MIN, 0, 0, why, sizeof(why));

    if (guest == -E_NOT_SUPP || guest == -E_BAD_ENV)
        return 0;
    CHECK(guest > 0, "a guest: %e", guest);
    count(&tally->envs, 1);
    return guest;
}

/* ---- What is free ---- */

struct Account {
    uint64_t pages, envs, blocks;
};

/* Pages of the file server count as free: its cache grows with what is read. */
static struct Account account(void)
{
    uint64_t total, blocks = 0;
    struct SysInfo info;

    sync();
    statfs(&total, &blocks);
    sys_sysinfo(&info);
    return (struct Account){ .pages =
                                 info.pages_free + envs[ENVX(ipc_find_env(ENV_TYPE_FS))].env_pages,
                             .envs = info.envs_used,
                             .blocks = blocks };
}

static bool is_less(const struct Account *now, const struct Account *before)
{
    return now->pages < before->pages || now->envs > before->envs || now->blocks < before->blocks;
}

/* What is there when all that has ended is gone, or nothing more goes. */
static struct Account account_again(const struct Account *before)
{
    struct Account now = account(), last = now;

    for (uint64_t end = sys_time_msec() + SETTLE_MS; is_less(&now, before) && sys_time_msec() < end;
         now = account()) {
        if (is_less(&last, &now)) {
            last = now;
            end = sys_time_msec() + SETTLE_MS;
        }
        sys_sleep_msec(5);
    }
    return now;
}

static void report(const struct Account *before, const struct Account *after)
{
    printf("calls made: %lu (refused %lu)\nenvs started: %lu\nraces run: %lu (steps %lu)\n"
           "addresses probed: %lu\nfree pages: %lu before, %lu after\n"
           "envs: %lu before, %lu after\nfree disk blocks: %lu before, %lu after\n",
           tally->calls, tally->refused, tally->envs, tally->races, tally->steps, tally->probes,
           before->pages, after->pages, before->envs, after->envs, before->blocks, after->blocks);
}

static const struct Test tests[] = {
    { "arguments", bad_arguments },
    { "random", random_calls },
    { "races", races },
    { "guest-races", guest_races },
    { "memory", probe_memory },
    { "messages", look_for_messages },
    { "envs", hog_envs },
    { "pages", hog_memory },
    { "tables", hog_tables },
    { "files", hog_files },
    { "disk", hog_disk },
    { "guests", hog_guests },
    { "descriptors", scribble_descriptors },
    { "pipes", scribble_pipes },
    { "shared-file", scribble_files },
    { "rights", steal_files },
    { "inherited", share_files },
};

static uint64_t number(const char *s)
{
    uint64_t n;

    CHECK(parse_size(s, &n) == 0, "no number: %s", s);
    return n;
}

/* Fill the disk once, so that the file server's cache is as large as it gets: the page tables
 * behind it, which no env counts as its pages, stay. */
static void fill_cache(void)
{
    static char zeroes[CACHE_CHUNK];
    int fd = open(CACHE_FILE, O_WRONLY | O_CREAT | O_TRUNC);
    ssize_t n;

    CHECK(fd >= 0, "%s: %e", CACHE_FILE, fd);
    while ((n = write(fd, zeroes, sizeof(zeroes))) > 0)
        ;
    CHECK_IS(n, -E_NO_DISK);
    close(fd);
    CHECK_IS(remove(CACHE_FILE), 0);
}

/* Let guests run on all CPUs, each of which then keeps a page for virtualization. */
static void use_all_cpus(void)
{
    static const unsigned char spin[] = { 0xeb, 0xfe }; /* jmp . */
    envid_t guest[MAX_CPUS + 1];
    int n;

    CHECK_IS(sys_page_alloc(0, (void *)UTEMP, PERM_RW), 0);
    memcpy((void *)UTEMP, spin, sizeof(spin));
    for (n = 0; n <= MAX_CPUS && (guest[n] = make_guest()) > 0; n++) {
        CHECK_IS(sys_ept_map(0, (void *)UTEMP, guest[n], 0, PERM_RO), 0);
        CHECK_IS(sys_env_set_status(guest[n], ENV_RUNNABLE), 0);
    }
    sys_page_unmap(0, (void *)UTEMP);
    if (n > 0)
        sys_sleep_msec(SPIN_MS);
    while (n-- > 0) {
        sys_env_destroy(guest[n]);
        sys_env_wait(guest[n], NULL, false);
    }
}

/* What is there once, and stays: page tables of the file server's and of this env. */
static void warm_up(bool disk)
{
    envid_t child = fork();

    if (disk && child == 0)
        fill_cache();
    if (child == 0)
        use_all_cpus();
    if (child == 0)
        exit(0);
    wait(child);
    account();
}

int umain(int argc, char **argv)
{
    struct Account before, after;
    int option, ran = 0;

    tally = (volatile struct Tally *)(UHEAP - PGSIZE);
    CHECK_IS(sys_page_alloc(0, (void *)tally, PERM_RW | PTE_SHARE), 0);
    while ((option = getopt(argc, argv, "s:n:t:")) != -1) {
        if (option == 's')
            seed = number(optarg);
        else if (option == 'n')
            rounds = number(optarg);
        else if (option == 't')
            hold = number(optarg);
        else
            return 2;
    }
    printf("seed: %lu\n", seed);
    warm_up(test_wanted("disk", argc - optind + 1, argv + optind - 1));
    before = account();
    for (size_t i = 0; i < ARRAY_SIZE(tests); i++) {
        if (!test_wanted(tests[i].name, argc - optind + 1, argv + optind - 1))
            continue;
        test_now = tests[i].name;
        random_state = seed;
        tests[i].run();
        ran++;
        after = account_again(&before);
        CHECK(!is_less(&after, &before), "missing: %ld pages, %ld envs, %ld blocks",
              (long)(before.pages - after.pages), (long)(after.envs - before.envs),
              (long)(before.blocks - after.blocks));
    }
    CHECK(ran > 0, "no test of this name");
    report(&before, &after);
    printf("%s: ok\n", binaryname);
    return 0;
}
