/*
 * Sleepers that somebody ends from another CPU. One env stops and starts a child all the time, and
 * each start lets its CPU look at the earliest deadline it has. Another makes sleepers, lets them
 * fall asleep on any CPU, and ends them long before they would wake. Whatever the CPUs saw of the
 * deadlines that went, every CPU must still wake those who sleep.
 *
 *     test-sleepers [KILLS]
 */
#include "test.h"

#define KILLS    500 /* without another word */
#define SLEEPERS 16  /* at the end, more than there are CPUs */
#define LONG_MS  100000
#define SHORT_MS 20
#define NAPS     4
#define PATIENCE 5000 /* ms */

static uint64_t kills = KILLS;

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

/* Yields, so that sleepers fall asleep on this CPU. */
static void toggle(void)
{
    envid_t child = start(yield_for_ever);

    for (;;) {
        sys_env_set_status(child, ENV_NOT_RUNNABLE);
        sys_env_set_status(child, ENV_RUNNABLE);
        sys_yield();
    }
}

static void sleep_long(void)
{
    sys_sleep_msec(LONG_MS);
}

/* Does not yield: it is for another CPU to run the sleeper. */
static bool falls_asleep(envid_t child)
{
    uint64_t limit = sys_time_msec() + PATIENCE;

    while (*(volatile uint32_t *)&envs[ENVX(child)].env_wait != WAIT_SLEEP)
        if (sys_time_msec() > limit)
            return false;
    return true;
}

static void sleepers_end(void)
{
    for (uint64_t i = 0; i < kills; i++) {
        envid_t sleeper = start(sleep_long);
        CHECK(falls_asleep(sleeper), "a sleeper got no CPU after %lu were ended", i);
        end(sleeper);
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
    envid_t toggler = start(toggle);

    if (argc > 1)
        CHECK_IS(parse_size(argv[1], &kills), 0);
    test_now = "end";
    sleepers_end();
    end(toggler);
    test_now = "wake";
    sleepers_wake();
    printf("%s: ok\n", binaryname);
    return 0;
}
