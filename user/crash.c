/*
 * crash panic|fault|user: let the kernel panic, or have an exception, in a system call of this
 * program (the kernel needs the word `crashtest` for that), or write to address 0 itself: to see
 * what the reports say.
 */
#include <inc/lib.h>

static const char *const kinds[] = {
    [CRASH_PANIC] = "panic",
    [CRASH_FAULT] = "fault",
};

static int __attribute__((noinline)) deepest(int kind)
{
    int r = 0;

    if (kind > 0)
        r = sys_crash(kind);
    else
        *(volatile int *)NULL = 1;
    return r;
}

static int __attribute__((noinline)) deeper(int kind)
{
    int r = deepest(kind);

    if (r < 0)
        warn("%e", r);
    return r;
}

int umain(int argc, char **argv)
{
    const char *word = argc == 2 ? argv[1] : "";

    if (strcmp(word, "user") == 0)
        return deeper(0) < 0;
    for (size_t i = 1; i < ARRAY_SIZE(kinds); i++)
        if (strcmp(word, kinds[i]) == 0)
            return deeper(i) < 0;
    warn("usage: crash panic|fault|user");
    return 2;
}
