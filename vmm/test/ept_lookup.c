/*
 * The test of guest memory: the walk of extended page tables (exercise 2). Contracts are in
 * vmm/ept.h; what an entry must look like is in the SDM, "The Extended Page Table Mechanism
 * (EPT)".
 */
#include <inc/error.h>
#include <vmm/test/ept.h>

static void lookup_without_create(struct EptTest *t)
{
    uint64_t *e;
    ept_expect_result(t, "ept_lookup_gpa without create", -E_NOT_FOUND,
                      ept_lookup_gpa(t->v->vm, SOME_GPA, false, &e));
    ept_expect_tables(t, "after a lookup without create", (uint32_t[]){ 0, 0, 0, 1 });
}

static void lookup_creates_levels(struct EptTest *t)
{
    uint64_t *e;
    ept_expect_result(t, "ept_lookup_gpa with create", 0,
                      ept_lookup_gpa(t->v->vm, SOME_GPA, true, &e));
    ept_expect_tables(t, "after a lookup with create", (uint32_t[]){ 1, 1, 1, 1 });
}

/* Neighbours share tables down to the level where their addresses part. */
static void lookup_shares_tables(struct EptTest *t)
{
    static const struct {
        gpa_t gpa;
        uint32_t tables[EPT_LEVELS];
    } steps[] = {
        { 0, { 1, 1, 1, 1 } },
        { PGSIZE, { 1, 1, 1, 1 } },
        { PGSIZE_2M, { 2, 1, 1, 1 } },
        { PGSIZE_1G, { 3, 2, 1, 1 } },
        { 512 * PGSIZE_1G, { 4, 3, 2, 1 } },
        { BEYOND_48_BITS - PGSIZE, { 5, 4, 3, 1 } },
    };
    uint64_t *e;
    for (size_t i = 0; i < ARRAY_SIZE(steps) && !t->failed; i++) {
        ept_expect_result(t, "ept_lookup_gpa with create", 0,
                          ept_lookup_gpa(t->v->vm, steps[i].gpa, true, &e));
        ept_expect_tables(t, "after lookups here and there", steps[i].tables);
    }
}

static void lookup_index(struct EptTest *t)
{
    const gpa_t gpa = 0x8123456789abul; /* another index at each level */
    struct PageInfo *pp = ept_test_frame();
    uint64_t *e;
    if (ept_expect_result(t, "ept_lookup_gpa with create", 0,
                          ept_lookup_gpa(t->v->vm, gpa, true, &e))) {
        *e = page2pa(pp) | EPTE_RWX; /* with the reference, the guest's now */
        struct EptCensus c = ept_census(t->v);
        ept_expect(t, "the gpa of the entry for 0x8123456789ab", ROUNDDOWN(gpa, PGSIZE), c.gpa);
    }
}

static void lookup_finds_again(struct EptTest *t)
{
    uint64_t *made, *found, *other;
    ept_lookup_gpa(t->v->vm, SOME_GPA, true, &made);
    ept_lookup_gpa(t->v->vm, SOME_GPA + PGSIZE_2M, true, &other);
    if (ept_expect_result(t, "ept_lookup_gpa without create, of what is there", 0,
                          ept_lookup_gpa(t->v->vm, SOME_GPA, false, &found)))
        ept_expect(t, "address of the entry", (uint64_t)made, (uint64_t)found);
}

static void inner_entries(struct EptTest *t)
{
    uint64_t *e;
    ept_lookup_gpa(t->v->vm, SOME_GPA, true, &e);
    ept_lookup_gpa(t->v->vm, BEYOND_48_BITS - PGSIZE, true, &e);
    struct EptCensus c = ept_census(t->v);
    ept_expect(t, "an entry for a table without all rights, or with bits 7:3", 0, c.bad_inner);
}

static void lookup_no_memory(struct EptTest *t)
{
    uint64_t *e;
    for (size_t n = 0; n < TABLES_PER_WALK && !t->failed; n++) {
        gpa_t gpa = n * 512 * PGSIZE_1G + SOME_GPA; /* no table but the root is shared */
        ept_hoard_all_but(n);
        int r = ept_lookup_gpa(t->v->vm, gpa, true, &e);
        ept_hoard_release();
        ept_expect_result(t, "ept_lookup_gpa without memory for all tables", -E_NO_MEM, r);
        ept_expect_result(t, "the same without create", -E_NOT_FOUND,
                          ept_lookup_gpa(t->v->vm, gpa, false, &e));
        struct EptCensus c = ept_census(t->v);
        uint32_t all = c.tables[0] + c.tables[1] + c.tables[2] + c.tables[3];
        ept_expect(t, "number of tables in stats.table_pages", all, t->v->vm->stats.table_pages);
        ept_expect_result(t, "the same with memory", 0, ept_lookup_gpa(t->v->vm, gpa, true, &e));
    }
}

static void lookup_bounds(struct EptTest *t)
{
    uint64_t *e;
    ept_expect_result(t, "ept_lookup_gpa beyond 48 bits, with create", -E_INVAL,
                      ept_lookup_gpa(t->v->vm, BEYOND_48_BITS, true, &e));
    ept_expect_tables(t, "after a lookup beyond 48 bits", (uint32_t[]){ 0, 0, 0, 1 });
}

const struct EptProperty ept_lookup_properties[] = {
    { 2, "lookup-without-create", lookup_without_create },
    { 2, "lookup-creates-levels", lookup_creates_levels },
    { 2, "lookup-shares-tables", lookup_shares_tables },
    { 2, "lookup-index", lookup_index },
    { 2, "lookup-finds-again", lookup_finds_again },
    { 2, "lookup-no-memory", lookup_no_memory },
    { 2, "lookup-bounds", lookup_bounds },
    { 2, "table-entries", inner_entries },
    { 0, NULL, NULL },
};
