/*
 * What the test programs share. A program is a table of tests; each is one property. It prints
 * `NAME: ok` and ends with 0, or `NAME: FAILED: why` and 1. With arguments only the tests named
 * run.
 */
#ifndef JOS_USER_TEST_TEST_H
#define JOS_USER_TEST_TEST_H

#include <inc/lib.h>

struct Test {
    const char *name;
    void (*run)(void);
};

static const char *test_now = "start"; /* the test that runs */

/* The condition must hold; what follows says what was wrong, in the manner of printf. */
#define CHECK(cond, ...)                                                                        \
    do {                                                                                        \
        if (!(cond)) {                                                                          \
            char test_why[200];                                                                 \
            snprintf(test_why, sizeof(test_why), __VA_ARGS__);                                  \
            printf("%s: FAILED: %s: %s (line %d)\n", binaryname, test_now, test_why, __LINE__); \
            exit(1);                                                                            \
        }                                                                                       \
    } while (0)

/* The expression must be this value. */
#define CHECK_IS(expr, value)                                                              \
    do {                                                                                   \
        int64_t test_got = (int64_t)(expr), test_want = (int64_t)(value);                  \
        CHECK(test_got == test_want, "%s is %ld and not %ld", #expr, test_got, test_want); \
    } while (0)

static inline bool test_wanted(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return true;
    return argc < 2;
}

static inline int run_tests(const struct Test *tests, size_t n, int argc, char **argv)
{
    int ran = 0;
    for (size_t i = 0; i < n; i++) {
        if (!test_wanted(tests[i].name, argc, argv))
            continue;
        test_now = tests[i].name;
        tests[i].run();
        ran++;
    }
    test_now = "arguments";
    CHECK(ran > 0, "no test of this name");
    printf("%s: ok\n", binaryname);
    return 0;
}

#endif
