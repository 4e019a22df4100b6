/*
 * Sleepers that somebody ends from another CPU. One env makes a sleeper, then stops and starts a
 * child, and each start lets its CPU look at the earliest deadline it has. Another env ends the
 * sleeper meanwhile, long before it would wake. Whatever the CPUs saw of the deadlines that went,
 * every CPU must still wake those who sleep.
 *
 *     test-sleepers [KILLS]
 */
#include "test.h"

#define KILLS    3000 /* without another word */
#define SLEEPERS 16   /* at the end, more than there are CPUs */
#define LONG_MS  100000
#define SHORT_MS 20
#define NAPS     4
#define PATIENCE 5000 /* ms */

static uint64_t kills = KILLS;

/* A page that all share. */
static volatile struct {
    envid_t sleeper; /* to be ended; 0: the last one has been */
    bool done;       /* there have been enough */
} *const shared = (void *)UHEAP;

static envid_t start(void (*run)(void))
{
    envid_t child = fork();

    CHECK(child >= 0, "fork: %e", child);
    if (child == 0) {
        run();
        exit(0);
    }
    return child;
}

static void end(envid_t child)
{
    CHECK_IS(sys_env_destroy(child), 0);
    CHECK_IS(wait(child), EXIT_KILLED);
}

static void yield_for_ever(void)
{
    for (;;)
        sys_yield();
}

static void sleep_long(void)
{
    sys_sleep_msec(LONG_MS);
}

/* The sleeper falls asleep on this CPU, unless another one has nothing to do. */
static envid_t make_sleeper(void)
{
    envid_t sleeper = start(sleep_long);

    while (*(volatile uint32_t *)&envs[ENVX(sleeper)].env_wait != WAIT_SLEEP)
        sys_yield();
    return sleeper;
}

static void make_sleepers(void)
{
    envid_t child = start(yield_for_ever);

    while (!shared->done) {
        envid_t sleeper = make_sleeper();
        shared->sleeper = sleeper;
        while (sys_env_wait(sleeper, NULL, true) == 0) {
            sys_env_set_status(child, ENV_NOT_RUNNABLE);
            sys_env_set_status(child, ENV_RUNNABLE);
        }
    }
    end(child);
}

/* Does not yield: it stays on another CPU than their maker. */
static envid_t next_sleeper(void)
{
    uint64_t limit = sys_time_msec() + PATIENCE;

    while (shared->sleeper == 0)
        if (sys_time_msec() > limit)
            return 0;
    return shared->sleeper;
}

static void sleepers_end(void)
{
    for (uint64_t i = 0; i < kills; i++) {
        envid_t sleeper = next_sleeper();
        CHECK(sleeper != 0, "no sleeper comes after %lu were ended", i);
        shared->sleeper = 0;
        shared->done = i + 1 == kills;
        CHECK_IS(sys_env_destroy(sleeper), 0);
    }
}

static void take_naps(void)
{
    for (int i = 0; i < NAPS; i++)
        sys_sleep_msec(SHORT_MS);
}

/* Looks after them without sleeping itself. */
static void sleepers_wake(void)
{
    envid_t sleeper[SLEEPERS];
    uint64_t limit = sys_time_msec() + PATIENCE;

    for (int i = 0; i < SLEEPERS; i++)
        sleeper[i] = start(take_naps);
    for (int i = 0; i < SLEEPERS; i++)
        while (sys_env_wait(sleeper[i], NULL, true) == 0) {
            CHECK(sys_time_msec() < limit, "a sleep of %d ms on CPU %d does not end", SHORT_MS,
                  envs[ENVX(sleeper[i])].env_cpunum);
            sys_yield();
        }
}

int umain(int argc, char **argv)
{
    envid_t maker;

    if (argc > 1)
        CHECK_IS(parse_size(argv[1], &kills), 0);
    CHECK_IS(sys_page_alloc(0, (void *)UHEAP, PTE_P | PTE_U | PTE_W | PTE_NX | PTE_SHARE), 0);
    maker = start(make_sleepers);
    test_now = "end";
    sleepers_end();
    CHECK_IS(wait(maker), 0);
    test_now = "wake";
    sleepers_wake();
    printf("%s: ok\n", binaryname);
    return 0;
}
