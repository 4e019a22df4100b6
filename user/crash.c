/*
 * crash panic|fault|triple|spin|user|names N: let the kernel panic, or have an exception, or a
 * triple fault, or spin on the boot CPU, in a system call of this program (the kernel needs the
 * word `crashtest` for that), or write to address 0 itself, to see what the reports say. With
 * `names`, noise from seed N is first written over what the kernel reads names from.
 */
#include <inc/lib.h>

USAGE("crash panic|fault|triple|spin|user\n       crash names SEED");

#define NAMES_HEAD 32 /* bytes at the table's begin that only every fourth seed spoils */

extern uint8_t names[], names_end[]; /* lib/user.ld */

static const char *const kinds[] = {
    [CRASH_PANIC] = "panic",
    [CRASH_FAULT] = "fault",
    [CRASH_TRIPLE] = "triple",
    [CRASH_SPIN] = "spin",
};

static int __attribute__((noinline)) deepest(int kind)
{
    int r = 0;

    if (kind > 0)
        while ((r = sys_crash(kind)) == -E_AGAIN)
            sys_yield();
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

/* A linear congruential generator: the high bits are noise. */
static uint32_t noise(uint32_t *seed)
{
    *seed = *seed * 1664525 + 1013904223;
    return *seed >> 16;
}

/* Replace the pages of the table by ones that can be written, with the same contents but for the
 * noise, one byte of sixteen. */
static int spoil_names(uint32_t seed)
{
    uint8_t *page = (uint8_t *)UTEMP, *to = ROUNDDOWN(&names[0], PGSIZE);
    uint8_t *from = names + (seed % 4 == 0 ? 0 : NAMES_HEAD);

    for (; to < names_end; to += PGSIZE) {
        int r = sys_page_alloc(0, page, PTE_P | PTE_U | PTE_W);
        if (r < 0)
            return r;
        memcpy(page, to, PGSIZE);
        if ((r = sys_page_map(0, page, 0, to, PTE_P | PTE_U | PTE_W)) < 0)
            return r;
    }
    for (uint8_t *p = from; p < names_end; p++)
        if (noise(&seed) % 16 == 0)
            *p = noise(&seed);
    return 0;
}

int umain(int argc, char **argv)
{
    const char *word = argc == 2 ? argv[1] : "";

    if (argc == 3 && strcmp(argv[1], "names") == 0)
        return spoil_names(strtoul(argv[2], NULL, 0)) < 0 || deeper(0) < 0;
    if (strcmp(word, "user") == 0)
        return deeper(0) < 0;
    for (size_t i = 1; i < ARRAY_SIZE(kinds); i++)
        if (strcmp(word, kinds[i]) == 0)
            return deeper(i) < 0;
    return usage();
}
