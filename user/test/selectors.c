/*
 * Segment registers: whatever a program loads into DS, ES, FS and GS, no other program sees it, and
 * after each switch all programs find null selectors. The bases of FS and GS are out of user code's
 * reach.
 */
#include "test.h"

#define ROUNDS   200
#define NWRITERS 2
#define SEL_UD   (GD_UD | 3)
#define SEL_UT   (GD_UT | 3)

/* All that user code can load: null selectors with any RPL, and its own descriptors. */
static const uint16_t odd[] = { 3, 1, 2, SEL_UD, SEL_UT, SEL_UD & ~1, SEL_UT & ~3, SEL_UD & ~3 };

struct Selectors {
    uint16_t ds, es, fs, gs;
};

static void load(struct Selectors s)
{
    asm volatile("mov %w0, %%ds; mov %w1, %%es; mov %w2, %%fs; mov %w3, %%gs"
                 :
                 : "r"(s.ds), "r"(s.es), "r"(s.fs), "r"(s.gs));
}

static struct Selectors look(void)
{
    struct Selectors s;
    asm volatile("mov %%ds, %0; mov %%es, %1; mov %%fs, %2; mov %%gs, %3"
                 : "=m"(s.ds), "=m"(s.es), "=m"(s.fs), "=m"(s.gs));
    return s;
}

static bool is_null(struct Selectors s)
{
    return (s.ds | s.es | s.fs | s.gs) == 0;
}

static uint16_t pick(unsigned i)
{
    return odd[i % ARRAY_SIZE(odd)];
}

/* Load odd selectors before each switch, without end. */
static void write_on(void)
{
    for (unsigned i = 0;; i++) {
        load((struct Selectors){ pick(i), pick(i + 1), pick(i + 3), pick(i + 4) });
        sys_yield();
    }
}

static void look_often(const char *switch_name, void (*give_way)(void))
{
    for (unsigned i = 0; i < ROUNDS; i++) {
        give_way();
        struct Selectors s = look();
        CHECK(is_null(s), "after %s: DS 0x%x, ES 0x%x, FS 0x%x, GS 0x%x", switch_name, s.ds, s.es,
              s.fs, s.gs);
    }
}

static void yield(void)
{
    sys_yield();
}

static void nap(void)
{
    sys_sleep_msec(1);
}

static void others(void)
{
    envid_t writers[NWRITERS];
    for (unsigned i = 0; i < NWRITERS; i++) {
        writers[i] = fork();
        CHECK(writers[i] >= 0, "fork: %e", writers[i]);
        if (writers[i] == 0)
            write_on();
    }
    sys_sleep_msec(1);
    look_often("a sleep", nap);
    look_often("a yield", yield);
    for (unsigned i = 0; i < NWRITERS; i++) {
        CHECK_IS(sys_env_destroy(writers[i]), 0);
        CHECK_IS(wait(writers[i]), EXIT_KILLED);
    }
}

/* A sleep always goes through the scheduler and lets another env run, or the CPU idle. */
static void own(void)
{
    for (unsigned i = 0; i < ARRAY_SIZE(odd); i++) {
        load((struct Selectors){ pick(i), pick(i + 1), pick(i + 2), pick(i + 3) });
        sys_sleep_msec(1);
        struct Selectors s = look();
        CHECK(is_null(s), "DS 0x%x, ES 0x%x, FS 0x%x, GS 0x%x", s.ds, s.es, s.fs, s.gs);
    }
}

/* A new program, and a message from one that has loaded selectors, which hands the CPU over. */
static void by_message(void)
{
    envid_t receiver = fork();
    CHECK(receiver >= 0, "fork: %e", receiver);
    if (receiver == 0) {
        for (unsigned i = 0; i < ROUNDS; i++) {
            ipc_recv(NULL, NULL, NULL);
            if (!is_null(look()))
                exit(1);
        }
        exit(0);
    }
    for (unsigned i = 0; i < ROUNDS; i++) {
        load((struct Selectors){ pick(i), pick(i), pick(i), pick(i) });
        ipc_send(receiver, 0, NULL, 0);
    }
    CHECK_IS(wait(receiver), 0);
}

/* WRGSBASE and WRFSBASE are undefined, so that a base cannot carry a word either. */
static void bases(void)
{
    envid_t child = fork();
    CHECK(child >= 0, "fork: %e", child);
    if (child == 0) {
        asm volatile("wrgsbase %0" : : "r"(0x1234ul));
        exit(0);
    }
    CHECK_IS(wait(child), EXIT_FAULT);
}

static const struct Test tests[] = {
    { "others", others },
    { "own", own },
    { "message", by_message },
    { "bases", bases },
};

int umain(int argc, char **argv)
{
    return run_tests(tests, ARRAY_SIZE(tests), argc, argv);
}
