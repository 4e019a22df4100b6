/*
 * The test of guest memory: its frame. Each property gets a guest that is made for it and given
 * back afterwards. Memory runs out for real: all free frames but a few are taken away.
 */
#include <inc/stdio.h>
#include <inc/error.h>
#include <kern/envlife.h>
#include <kern/cpu.h>
#include <inc/string.h>
#include <vmm/vmlife.h>
#include <vmm/test/ept.h>
#include <vmm/vmx/vmx.h>
#include <inc/assert.h>
#include <kern/platform.h>
#include <kern/cmdline.h>
#include <kern/dev/poweroff.h>

#define WORD_TEST "epttest"
#define WORD_OFF  "epttest-off"
#define USUAL     "23" /* exercises that need no VT-x */

#define LARGE_LEVEL 1 /* where an entry may map a large page */

/* SDM "The Extended Page Table Mechanism (EPT)": what an entry that refers to a table must not
 * have: bits that are reserved, a memory type, the large-page bit. */
#define INNER_FORBIDDEN UL(0xf8)

static struct PageInfo *hoard; /* frames taken by ept_hoard_all_but */

bool ept_expect(struct EptTest *t, const char *what, uint64_t expected, uint64_t seen)
{
    if (seen == expected)
        return true;
    if (!t->failed)
        snprintf(t->words, sizeof(t->words), "expected 0x%lx as %s; saw 0x%lx", expected, what,
                 seen);
    t->failed = true;
    return false;
}

static const char *result_words(int64_t r)
{
    return r < 0 && r > -E_MAX ? strerror(r) : r == 0 ? "success" : "another number";
}

bool ept_expect_result(struct EptTest *t, const char *what, int64_t expected, int64_t seen)
{
    if (seen == expected)
        return true;
    if (!t->failed)
        snprintf(t->words, sizeof(t->words), "expected %ld (%s) from %s; saw %ld (%s)", expected,
                 result_words(expected), what, seen, result_words(seen));
    t->failed = true;
    return false;
}

static bool is_frame(uint64_t entry)
{
    return PGNUM(PTE_ADDR(entry)) < npages;
}

static void count_table(struct EptCensus *c, const uint64_t *table, int level, gpa_t base)
{
    c->tables[level]++;
    for (uint64_t i = 0; i < NPTENTRIES; i++) {
        gpa_t gpa = base | i << (PGSHIFT + 9 * level);
        if (table[i] == 0)
            continue;
        bool large = level == LARGE_LEVEL && (table[i] & EPTE_LARGE);
        if (level == 0 || large) {
            *(large ? &c->large : &c->leaves) += 1;
            c->leaf = table[i];
            c->gpa = gpa;
            continue;
        }
        if ((table[i] & EPTE_RWX) != EPTE_RWX || (table[i] & INNER_FORBIDDEN))
            c->bad_inner = table[i];
        if (is_frame(table[i]))
            count_table(c, KADDR(PTE_ADDR(table[i])), level - 1, gpa);
        else
            c->bad_inner = table[i];
    }
}

struct EptCensus ept_census(const struct Vcpu *v)
{
    struct EptCensus c = { 0 };
    count_table(&c, v->vm->tables, EPT_LEVELS - 1, 0);
    return c;
}

void ept_expect_tables(struct EptTest *t, const char *what, const uint32_t *expected)
{
    struct EptCensus c = ept_census(t->v);
    uint64_t all = 0;
    for (int level = EPT_LEVELS - 1; level >= 0; level--) {
        if (c.tables[level] != expected[level] && !t->failed)
            snprintf(t->words, sizeof(t->words), "expected %u tables of level %d %s; saw %u",
                     expected[level], level, what, c.tables[level]);
        t->failed |= c.tables[level] != expected[level];
        all += c.tables[level];
    }
    ept_expect(t, "number of tables in stats.table_pages", all, t->v->vm->stats.table_pages);
}

struct PageInfo *ept_test_frame(void)
{
    struct PageInfo *pp = page_alloc(ALLOC_ZERO);
    if (!pp)
        panic("epttest: no memory");
    page_incref(pp);
    return pp;
}

void ept_hoard_all_but(size_t n)
{
    struct PageInfo *pp;
    while ((pp = page_alloc(0))) {
        pp->pp_link = hoard;
        hoard = pp;
    }
    while (n-- > 0) {
        pp = hoard;
        hoard = pp->pp_link;
        page_free(pp);
    }
}

void ept_hoard_release(void)
{
    while (hoard) {
        struct PageInfo *pp = hoard;
        hoard = pp->pp_link;
        page_free(pp);
    }
}

/* An env that stands for a monitor becomes the current one. It may take the last frames and slots,
 * so that the test decides what is left. */
static void monitor_begin(struct EptTest *t)
{
    if (env_alloc(&t->monitor, NULL, ENV_TYPE_USER) < 0 ||
        env_alloc(&t->env, t->monitor, ENV_TYPE_GUEST) < 0)
        panic("epttest: no envs");
    t->monitor->env_vital = true;
    t->env->env_guest = t->v;
    t->v->env = t->env;
    this_cpu()->cpu_env = t->monitor;
}

/* Its guests end with it. */
static void monitor_end(struct EptTest *t)
{
    this_cpu()->cpu_env = NULL;
    env_destroy(t->monitor, 0);
}

static void try_property(struct EptTest *t, const struct EptProperty *p)
{
    *t = (struct EptTest){ .failed = false };
    if (vm_alloc(&t->v, EPT_TEST_MEMORY, EPT_TEST_MEMORY / 2, 0) < 0)
        panic("epttest: no memory");
    bool calls = p->exercise != 2;
    if (calls)
        monitor_begin(t);
    p->holds(t);
    if (calls)
        monitor_end(t);
    else
        vm_drop(t->v->vm);
}

struct Score {
    const char *nonce;
    int exercise, ok, failed;
};

static void try_all(const struct EptProperty *p, struct Score *score)
{
    static struct EptTest t;
    for (; p->name; p++) {
        if (p->exercise != score->exercise)
            continue;
        try_property(&t, p);
        *(t.failed ? &score->failed : &score->ok) += 1;
        cprintf("epttest %s %d %s: %s%s\n", score->nonce, p->exercise, p->name,
                t.failed ? "FAIL " : "ok", t.words);
    }
}

static int try_exercise(const char *nonce, int exercise)
{
    static const struct EptProperty *const parts[] = {
        ept_mkguest_properties, ept_lookup_properties, ept_map_properties,
        ept_call_properties,    ept_large_properties,
    };
    struct Score score = { .nonce = nonce, .exercise = exercise };
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
        try_all(parts[i], &score);
    cprintf("epttest %s %d sum: %d ok, %d failed\n", nonce, exercise, score.ok, score.failed);
    return score.failed;
}

void ept_self_test(void)
{
    char nonce[64];
    if (!cmdline_word(WORD_TEST, nonce, sizeof(nonce)))
        return;
    const char *exercises = USUAL;
    char *colon = strchr(nonce, ':');
    if (colon) {
        *colon = '\0';
        exercises = colon + 1;
    }
    /* Entries are EPT's, also on a machine without VT-x. */
    struct Stage2Format own = stage2;
    stage2 = vmx_stage2_format(true);
    int failed = 0;
    for (int exercise = 1; exercise <= EPT_CHALLENGE; exercise++)
        if (strchr(exercises, '0' + exercise))
            failed += try_exercise(nonce, exercise);
    stage2 = own;
    if (cmdline_word(WORD_OFF, NULL, 0))
        platform_poweroff(failed > 0);
}
