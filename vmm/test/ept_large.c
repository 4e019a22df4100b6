/*
 * The test of guest memory: large pages (the challenge ept_map_large). It needs a CPU that can run
 * guests, since other CPUs do not tell whether they have large EPT pages.
 */
#include <inc/error.h>
#include <vmm/vmlife.h>
#include <vmm/test/ept.h>

#define LARGE_GPA    (4 * PGSIZE_2M)
#define RIGHTS       (EPTE_R | EPTE_W)
#define LARGE_TABLES 2 /* between the root and an entry of level 1 */

/* A run of frames for the test, or words. */
static struct PageInfo *new_run(struct EptTest *t)
{
    char why[160];
    int r = vmx_check_support(why, sizeof(why));
    if (!ept_expect_result(t, "vmx_check_support", 0, r))
        return NULL;
    size_t clear;
    struct PageInfo *run = page_run_alloc(&clear);
    ept_expect(t, "a run of frames", true, run != NULL);
    return run;
}

static int map(struct EptTest *t, struct PageInfo *run, gpa_t gpa, uint64_t rights)
{
    return ept_map_large(t->v->vm, page2kva(run), gpa, rights);
}

/* A run that is mapped at LARGE_GPA, its references being the guest's; or NULL, with words. */
static struct PageInfo *mapped_run(struct EptTest *t)
{
    struct PageInfo *run = new_run(t);
    if (run && !ept_expect_result(t, "ept_map_large", 0, map(t, run, LARGE_GPA, RIGHTS))) {
        page_run_decref(run);
        return NULL;
    }
    return run;
}

static void large_entry_made(struct EptTest *t)
{
    struct PageInfo *run = mapped_run(t);
    if (!run)
        return;
    struct EptCensus c = ept_census(t->v);
    ept_expect(t, "large pages", 1, c.large);
    ept_expect(t, "the gpa of the entry", LARGE_GPA, c.gpa);
    ept_expect(t, "the entry", page2pa(run) | RIGHTS | EPTE_MT_WB | EPTE_IPAT | EPTE_LARGE, c.leaf);
    ept_expect_tables(t, "after ept_map_large", (uint32_t[]){ 0, 1, 1, 1 });
}

static void large_counts(struct EptTest *t)
{
    struct PageInfo *run = mapped_run(t);
    if (!run)
        return;
    ept_expect(t, "stats.pages", RUN_FRAMES, t->v->vm->stats.pages);
    ept_expect(t, "stats.large_pages", 1, t->v->vm->stats.large_pages);
    ept_expect(t, "references on the first frame", 1, run->pp_ref);
    ept_expect(t, "references on the last frame", 1, run[RUN_FRAMES - 1].pp_ref);
}

static void large_found(struct EptTest *t)
{
    const gpa_t offset = 5 * PGSIZE + 0xabc;
    struct PageInfo *run = mapped_run(t);
    if (!run)
        return;
    uint32_t rights = 0;
    ept_expect(t, "the host address within a large page", (uint64_t)page2kva(run) + offset,
               (uint64_t)ept_gpa2hva(t->v->vm, LARGE_GPA + offset, &rights));
    ept_expect(t, "its rights", RIGHTS, rights);
    ept_expect(t, "the host address behind it", 0,
               (uint64_t)ept_gpa2hva(t->v->vm, LARGE_GPA + PGSIZE_2M, NULL));
}

static void large_refused(struct EptTest *t)
{
    struct PageInfo *run = new_run(t);
    if (!run)
        return;
    ept_expect_result(t, "ept_map_large at a gpa that is not aligned", -E_INVAL,
                      map(t, run, LARGE_GPA + PGSIZE, RIGHTS));
    ept_expect_result(t, "ept_map_large of memory that is not aligned", -E_INVAL,
                      map(t, run + 1, LARGE_GPA, RIGHTS));
    ept_expect_result(t, "ept_map_large beyond 48 bits", -E_INVAL,
                      map(t, run, BEYOND_48_BITS, RIGHTS));
    ept_expect_result(t, "ept_map_large without EPTE_R", -E_INVAL, map(t, run, LARGE_GPA, EPTE_W));
    ept_expect(t, "large pages after calls that were refused", 0, ept_census(t->v).large);
    page_run_decref(run);
}

static void large_busy(struct EptTest *t)
{
    struct PageInfo *run = new_run(t), *small = ept_test_frame();
    if (run) {
        ept_page_insert(t->v->vm, small, LARGE_GPA + PGSIZE, EPTE_RWX);
        ept_expect_result(t, "ept_map_large where a page of 4 KiB is", -E_BUSY,
                          map(t, run, LARGE_GPA, RIGHTS));
        ept_expect(t, "large pages", 0, ept_census(t->v).large);
        ept_expect(t, "stats.pages", 1, t->v->vm->stats.pages);
        page_run_decref(run);
    }
    page_decref(small);
}

static void large_split(struct EptTest *t)
{
    struct PageInfo *run = mapped_run(t), *small = ept_test_frame();
    if (run) {
        const gpa_t gpa = LARGE_GPA + 7 * PGSIZE;
        ept_expect_result(t, "ept_page_insert in a large page", 0,
                          ept_page_insert(t->v->vm, small, gpa, EPTE_RWX));
        ept_expect(t, "host address of the page", (uint64_t)page2kva(small),
                   (uint64_t)ept_gpa2hva(t->v->vm, gpa, NULL));
        ept_expect(t, "host address of its neighbour", (uint64_t)page2kva(run + 8),
                   (uint64_t)ept_gpa2hva(t->v->vm, gpa + PGSIZE, NULL));
        ept_expect(t, "pages of 4 KiB", RUN_FRAMES, ept_census(t->v).leaves);
        ept_expect(t, "stats.large_pages", 0, t->v->vm->stats.large_pages);
    }
    page_decref(small);
}

static void large_teardown(struct EptTest *t)
{
    struct Vcpu *other;
    size_t clear;
    struct PageInfo *run = new_run(t);
    if (!run)
        return;
    page_run_decref(run);
    size_t before = page_nfree();
    if (!ept_expect_result(t, "vm_alloc", 0, vm_alloc(&other, EPT_TEST_MEMORY, 0, 0)))
        return;
    run = page_run_alloc(&clear);
    int r = run ? ept_map_large(other->vm, page2kva(run), LARGE_GPA, RIGHTS) : -E_NO_MEM;
    if (!ept_expect_result(t, "ept_map_large", 0, r) && run)
        page_run_decref(run);
    vm_drop(other->vm);
    ept_expect(t, "number of free frames, as before the guest", before, page_nfree());
}

/* The last one: it takes every run apart. */
static void large_no_memory(struct EptTest *t)
{
    struct PageInfo *run = new_run(t);
    if (!run)
        return;
    for (size_t n = 0; n < LARGE_TABLES; n++) {
        ept_hoard_all_but(n);
        int r = map(t, run, n * 512 * PGSIZE_1G + LARGE_GPA, RIGHTS);
        ept_hoard_release();
        ept_expect_result(t, "ept_map_large without memory for all tables", -E_NO_MEM, r);
        ept_expect(t, "stats.pages without memory for tables", 0, t->v->vm->stats.pages);
    }
    page_run_decref(run);
}

const struct EptProperty ept_large_properties[] = {
    { EPT_CHALLENGE, "large-entry", large_entry_made },
    { EPT_CHALLENGE, "large-counts", large_counts },
    { EPT_CHALLENGE, "large-found", large_found },
    { EPT_CHALLENGE, "large-refused", large_refused },
    { EPT_CHALLENGE, "large-busy", large_busy },
    { EPT_CHALLENGE, "large-split", large_split },
    { EPT_CHALLENGE, "large-teardown", large_teardown },
    { EPT_CHALLENGE, "large-no-memory", large_no_memory },
    { 0, NULL, NULL },
};
