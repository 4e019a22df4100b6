/*
 * Scheduling: programs that never give the CPU up do not stop others, and sleeping takes as long as
 * it should.
 */
#include "test.h"

/* A page that parent and children share. */
static volatile uint64_t *const shared = (uint64_t *)UHEAP;

static void share_page(void)
{
    CHECK_IS(sys_page_alloc(0, (void *)UHEAP, PTE_P | PTE_U | PTE_W | PTE_NX | PTE_SHARE), 0);
}

static envid_t start_spinner(int i)
{
    envid_t child = fork();
    CHECK(child >= 0, "fork: %e", child);
    if (child == 0)
        for (;;)
            shared[i]++;
    return child;
}

static void kill(envid_t child)
{
    CHECK_IS(sys_env_destroy(child), 0);
    CHECK_IS(wait(child), EXIT_KILLED);
}

static void preemption(void)
{
    share_page();
    envid_t a = start_spinner(0), b = start_spinner(1);
    uint64_t start = sys_time_msec();
    while ((shared[0] == 0 || shared[1] == 0) && sys_time_msec() - start < 5000)
        sys_yield();
    CHECK(shared[0] > 0 && shared[1] > 0, "a spinning env got no CPU: %lu and %lu rounds",
          shared[0], shared[1]);

    uint64_t ticks_a = envs[ENVX(a)].env_ticks, ticks_b = envs[ENVX(b)].env_ticks;
    sys_sleep_msec(300);
    ticks_a = envs[ENVX(a)].env_ticks - ticks_a;
    ticks_b = envs[ENVX(b)].env_ticks - ticks_b;
    kill(a);
    kill(b);
    CHECK(ticks_a < 4 * ticks_b && ticks_b < 4 * ticks_a, "unequal shares: %lu and %lu ticks",
          ticks_a, ticks_b);
    sys_page_unmap(0, (void *)UHEAP);
}

static void sleep_length(void)
{
    for (int msec = 1; msec <= 64; msec *= 4) {
        uint64_t start = sys_time_msec();
        CHECK_IS(sys_sleep_msec(msec), 0);
        uint64_t slept = sys_time_msec() - start;
        CHECK(slept + 1 >= (uint64_t)msec, "slept %lu ms and not %d", slept, msec);
        CHECK(slept < (uint64_t)msec + 1000, "slept %lu ms and not %d", slept, msec);
    }
}

static void sleep_beside_spinner(void)
{
    share_page();
    envid_t a = start_spinner(0);
    uint64_t start = sys_time_msec();
    for (int i = 0; i < 10; i++)
        sys_sleep_msec(5);
    uint64_t slept = sys_time_msec() - start;
    kill(a);
    CHECK(slept < 2000, "ten sleeps of 5 ms took %lu ms beside a spinning env", slept);
    sys_page_unmap(0, (void *)UHEAP);
}

/* Sleepers wake in the order of their deadlines, not of their calls. */
static void sleep_order(void)
{
    enum {
        N = 5,
        STEP = 40
    };
    share_page();
    for (int i = 0; i < N; i++) {
        envid_t child = fork();
        CHECK(child >= 0, "fork: %e", child);
        if (child == 0) {
            sys_sleep_msec(STEP * (N - i));
            shared[1 + __atomic_fetch_add(shared, 1, __ATOMIC_SEQ_CST)] = N - i;
            exit(0);
        }
    }
    for (int i = 0; i < N; i++)
        CHECK(sys_env_wait(0, NULL, false) > 0, "a sleeper is lost");
    for (int i = 1; i <= N; i++)
        CHECK_IS(shared[i], i);
    sys_page_unmap(0, (void *)UHEAP);
}

static void yield(void)
{
    uint32_t before = thisenv->env_runs;
    for (int i = 0; i < 100; i++)
        sys_yield();
    CHECK(thisenv->env_runs >= before, "the run count went back");
}

static envid_t start_yielder(void)
{
    envid_t child = fork();
    CHECK(child >= 0, "fork: %e", child);
    if (child == 0)
        for (;;) {
            shared[0]++;
            sys_yield();
        }
    return child;
}

static bool ends(envid_t child)
{
    uint64_t start = sys_time_msec();

    while (sys_time_msec() - start < 5000)
        if (sys_env_wait(child, NULL, true) != 0)
            return true;
    return false;
}

/* Two envs give a CPU to each other. One of them is ended from another CPU, and stopped at once,
 * when it may have come back to the queue and not have ended yet: it ends. */
static void ended_then_stopped(void)
{
    share_page();
    envid_t other = start_yielder();
    for (int i = 0; i < 300; i++) {
        envid_t child = start_yielder();
        uint64_t seen = shared[0], start = sys_time_msec();
        while (shared[0] < seen + 20 && sys_time_msec() - start < 100)
            ;
        CHECK_IS(sys_env_destroy(child), 0);
        sys_env_set_status(child, ENV_NOT_RUNNABLE);
        CHECK(ends(child), "an env that was ended, then stopped, is still there (round %d)", i);
    }
    kill(other);
    sys_page_unmap(0, (void *)UHEAP);
}

static const struct Test tests[] = {
    { "preemption", preemption },
    { "sleep", sleep_length },
    { "sleep-beside-spinner", sleep_beside_spinner },
    { "sleep-order", sleep_order },
    { "yield", yield },
    { "ended-then-stopped", ended_then_stopped },
};

int umain(int argc, char **argv)
{
    return run_tests(tests, ARRAY_SIZE(tests), argc, argv);
}
