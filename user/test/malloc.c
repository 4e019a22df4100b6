/*
 * malloc: blocks are aligned and do not overlap, freed memory is used again and given back, and
 * running out is a NULL.
 */
#include "test.h"

#define NBLOCKS 200

static struct {
    unsigned char *p;
    size_t size;
} block[NBLOCKS];

static uint32_t seed = 1;

static uint32_t random(void)
{
    seed = seed * 1664525 + 1013904223;
    return seed >> 8;
}

static uint64_t free_pages(void)
{
    struct SysInfo info;
    sys_sysinfo(&info);
    return info.pages_free;
}

static void check_block(int i)
{
    for (size_t k = 0; k < block[i].size; k++)
        CHECK(block[i].p[k] == (unsigned char)(i + k),
              "block %d of %zu bytes was overwritten at %zu", i, block[i].size, k);
}

static void random_use(void)
{
    for (int round = 0; round < 3000; round++) {
        int i = random() % NBLOCKS;
        if (block[i].p) {
            check_block(i);
            free(block[i].p);
            block[i].p = NULL;
            continue;
        }
        block[i].size = random() % (round % 50 == 0 ? 20000 : 600);
        block[i].p = malloc(block[i].size);
        CHECK(block[i].p, "no memory for %zu bytes", block[i].size);
        CHECK((uintptr_t)block[i].p % 16 == 0, "address %p is not aligned", block[i].p);
        for (size_t k = 0; k < block[i].size; k++)
            block[i].p[k] = i + k;
    }
    for (int i = 0; i < NBLOCKS; i++) {
        if (block[i].p)
            check_block(i);
        free(block[i].p);
    }
}

/* Pieces freed in any order become one block again. */
static void coalesce(void)
{
    enum {
        N = 64,
        SIZE = 10000
    };
    void *p[N];

    free(malloc(N * SIZE * 2));
    uint64_t before = free_pages();
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < N; i++)
            CHECK((p[i] = malloc(SIZE)) != NULL, "no memory");
        for (int i = 0; i < N; i++)
            free(p[i * 37 % N]);
        void *all = malloc(N * SIZE);
        CHECK(all, "no memory for all of it");
        free(all);
    }
    CHECK(free_pages() + 2 >= before, "%lu pages are missing", before - free_pages());
}

static void calloc_realloc(void)
{
    char *p = malloc(1000);
    memset(p, 0xff, 1000);
    free(p);
    char *z = calloc(10, 100);
    for (int i = 0; i < 1000; i++)
        CHECK(z[i] == 0, "calloc left byte %d at %d", i, z[i]);
    for (int i = 0; i < 1000; i++)
        z[i] = i;
    z = realloc(z, 50000);
    CHECK(z, "realloc failed");
    for (int i = 0; i < 1000; i++)
        CHECK(z[i] == (char)i, "realloc lost byte %d", i);
    free(z);
    CHECK(calloc(1ul << 33, 1ul << 33) == NULL, "calloc does not see the overflow");
    free(NULL);
}

static void too_much(void)
{
    CHECK(malloc(~0ul) == NULL, "malloc(~0) is not NULL");
    CHECK(malloc(1ul << 46) == NULL, "64 TiB were given");
    void *p = malloc(100);
    CHECK(p, "no memory after a request that was too large");
    free(p);
}

/* In a child, take all memory there is. */
static void exhaust(void)
{
    struct Chunk {
        struct Chunk *next;
    } *list = NULL, *c;
    uint64_t before = free_pages();
    envid_t child = fork();

    CHECK(child >= 0, "fork: %e", child);
    if (child == 0) {
        size_t n = 0;
        for (; (c = malloc(1 << 20)); n++) {
            c->next = list;
            list = c;
        }
        while (list) {
            c = list->next;
            free(list);
            list = c;
        }
        void *again = malloc(n / 2 << 20);
        exit(n > 0 && again ? 0 : 1);
    }
    CHECK(wait(child) == 0, "memory was not usable again after running out");
    CHECK(free_pages() + 2 >= before, "%lu pages are missing", before - free_pages());
}

#define RW (PTE_P | PTE_U | PTE_W)

/* Two pages, the first in place of one that holds an 'x', where the second needs a page table and
 * hardly any memory is left. */
static int replace_with_row(void)
{
    char *second = (char *)ROUNDUP(UHEAP + (1ul << 30), 1ul << 30), *first = second - PGSIZE;
    char *arena = second + (1ul << 30);
    size_t n = 0;
    int r = sys_page_alloc(0, first, RW);
    if (r < 0)
        return 1;
    *first = 'x';
    while (sys_page_alloc(0, arena + n * PGSIZE, RW) == 0)
        n++;
    while ((r = sys_page_alloc(0, first, RW | PERM_PAGES(2))) == -E_NO_MEM && n > 0) {
        if (*first != 'x')
            return 2;
        sys_page_unmap(0, arena + --n * PGSIZE);
    }
    return r == 0 && *first == 0 && *second == 0 ? 0 : 3;
}

static void row_or_nothing(void)
{
    envid_t child = fork();
    if (child == 0)
        exit(replace_with_row());
    CHECK_IS(wait(child), 0);
}

static const struct Test tests[] = {
    { "random", random_use }, { "coalesce", coalesce }, { "calloc-realloc", calloc_realloc },
    { "too-much", too_much }, { "exhaust", exhaust },   { "row-or-nothing", row_or_nothing },
};

int umain(int argc, char **argv)
{
    return run_tests(tests, ARRAY_SIZE(tests), argc, argv);
}
