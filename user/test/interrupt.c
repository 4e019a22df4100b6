/*
 * Ctrl-C as a claim of envs: whose wait it ends, and when it is a character. Somebody at the
 * console presses it whenever this program says so.
 */
#include "test.h"

#define CTRL_C  3
#define LONG_MS 100000

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

static void sleep_long(void)
{
    sys_sleep_msec(LONG_MS);
}

static void end(envid_t child)
{
    CHECK_IS(sys_env_destroy(child), 0);
    CHECK_IS(wait(child), EXIT_KILLED);
}

static void arguments(void)
{
    CHECK_IS(sys_cons_claim(CONS_CLAIM_INTERRUPT + 1), -E_INVAL);
    CHECK_IS(sys_cons_claim(CONS_CLAIM_NONE), 0);
}

static void claimed(void)
{
    envid_t child = start(sleep_long);

    CHECK_IS(sys_cons_claim(CONS_CLAIM_INTERRUPT), 0);
    printf("press for the wait\n");
    CHECK_IS(wait(child), -E_INTR);
    CHECK(env_alive(child), "the key has ended a child");
    CHECK_IS(sys_env_wait(child, NULL, true), 0);
    end(child);
    CHECK_IS(sys_cons_claim(CONS_CLAIM_NONE), 0);
}

static void read_key(void)
{
    CHECK_IS(sys_cons_claim(CONS_CLAIM_KEY), 0);
    printf("press for the child\n");
    CHECK_IS(sys_cgetc(true), CTRL_C);
}

/* The child's claim is the last one until it ends. */
static void lent(void)
{
    envid_t sleeper = start(sleep_long);

    CHECK_IS(sys_cons_claim(CONS_CLAIM_INTERRUPT), 0);
    CHECK_IS(wait(start(read_key)), 0);
    printf("press for the parent\n");
    CHECK_IS(wait(sleeper), -E_INTR);
    end(sleeper);
    CHECK_IS(sys_cons_claim(CONS_CLAIM_NONE), 0);
}

static void claim_and_leave(void)
{
    CHECK_IS(sys_cons_claim(CONS_CLAIM_INTERRUPT), 0);
}

/* Whoever has ended is not told, but the one before. */
static void outlived(void)
{
    CHECK_IS(sys_cons_claim(CONS_CLAIM_KEY), 0);
    CHECK_IS(wait(start(claim_and_leave)), 0);
    printf("press for this program\n");
    CHECK_IS(sys_cgetc(true), CTRL_C);
    CHECK_IS(sys_cons_claim(CONS_CLAIM_NONE), 0);
}

static const struct Test tests[] = {
    { "arguments", arguments },
    { "claimed", claimed },
    { "lent", lent },
    { "outlived", outlived },
};

int umain(int argc, char **argv)
{
    return run_tests(tests, ARRAY_SIZE(tests), argc, argv);
}
