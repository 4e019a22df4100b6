/*
 * The test of guest memory: mappings in extended page tables (exercise 2), their entries and what
 * they keep count of.
 */
#include <inc/error.h>
#include <vmm/vmlife.h>
#include <vmm/test/ept.h>

#define EPTE_MT_SHIFT  3
#define EPTE_MT_MASK   UL(7)
#define MT_WB          6
#define EPTE_LARGE_BIT 7

/* Map a frame and expect success. */
static bool map(struct EptTest *t, struct PageInfo *pp, gpa_t gpa, uint64_t rights)
{
    int r = ept_map_hva2gpa(t->v->vm, page2kva(pp), gpa, rights, false);
    return ept_expect_result(t, "ept_map_hva2gpa", 0, r);
}

/* The entry for a new mapping with these rights, or 0 with words. */
static uint64_t new_leaf(struct EptTest *t, struct PageInfo *pp, gpa_t gpa, uint64_t rights)
{
    if (!map(t, pp, gpa, rights))
        return 0;
    struct EptCensus c = ept_census(t->v);
    if (!ept_expect(t, "entries of level 0 that are not 0", 1, c.leaves))
        return 0;
    ept_expect(t, "the gpa where the entry is", gpa, c.gpa);
    return c.leaf;
}

/* ---- ept_map_hva2gpa: the entry ---- */

static void leaf_address(struct EptTest *t)
{
    struct PageInfo *pp = ept_test_frame();
    uint64_t leaf = new_leaf(t, pp, SOME_GPA, EPTE_RWX);
    ept_expect(t, "address in the entry", page2pa(pp), PTE_ADDR(leaf));
    ept_expect(t, "bit 7 of the entry", 0, leaf >> EPTE_LARGE_BIT & 1);
    page_decref(pp);
}

static void leaf_rights(struct EptTest *t)
{
    static const uint64_t rights[] = { EPTE_R, EPTE_R | EPTE_W, EPTE_R | EPTE_X, EPTE_RWX };
    struct PageInfo *pp = ept_test_frame();
    for (size_t i = 0; i < ARRAY_SIZE(rights); i++) {
        gpa_t gpa = SOME_GPA + i * PGSIZE;
        uint32_t seen = 0;
        if (map(t, pp, gpa, rights[i]) && ept_gpa2hva(t->v->vm, gpa, &seen) != NULL)
            ept_expect(t, "rights of the entry", rights[i], seen);
        else
            ept_expect(t, "rights of the entry", rights[i], 0);
    }
    page_decref(pp);
}

static void leaf_memory_type(struct EptTest *t)
{
    struct PageInfo *pp = ept_test_frame();
    uint64_t leaf = new_leaf(t, pp, SOME_GPA, EPTE_RWX);
    ept_expect(t, "memory type (write-back)", MT_WB, leaf >> EPTE_MT_SHIFT & EPTE_MT_MASK);
    page_decref(pp);
}

static void leaf_ignores_pat(struct EptTest *t)
{
    struct PageInfo *pp = ept_test_frame();
    uint64_t leaf = new_leaf(t, pp, SOME_GPA, EPTE_RWX);
    ept_expect(t, "bit 6, the guest's PAT is ignored", EPTE_IPAT, leaf & EPTE_IPAT);
    page_decref(pp);
}

/* ---- ept_map_hva2gpa: what is refused ---- */

/* Nothing has been mapped, and nobody else holds the frame. */
static void expect_untouched(struct EptTest *t, struct PageInfo *pp)
{
    ept_expect(t, "entries of level 0 that are not 0", 0, ept_census(t->v).leaves);
    ept_expect(t, "references on the frame that was not mapped", 1, pp->pp_ref);
    ept_expect(t, "stats.pages", 0, t->v->vm->stats.pages);
}

/* SDM "EPT Misconfigurations" */
static void rights_need_read(struct EptTest *t)
{
    static const uint64_t rights[] = { EPTE_W, EPTE_W | EPTE_X, 0 };
    struct PageInfo *pp = ept_test_frame();
    for (size_t i = 0; i < ARRAY_SIZE(rights); i++)
        ept_expect_result(t, "ept_map_hva2gpa without EPTE_R", -E_INVAL,
                          ept_map_hva2gpa(t->v->vm, page2kva(pp), SOME_GPA, rights[i], true));
    expect_untouched(t, pp);
    page_decref(pp);
}

static void map_alignment(struct EptTest *t)
{
    struct PageInfo *pp = ept_test_frame();
    ept_expect_result(t, "ept_map_hva2gpa at a gpa in the middle of a page", -E_INVAL,
                      ept_map_hva2gpa(t->v->vm, page2kva(pp), SOME_GPA + 8, EPTE_RWX, true));
    expect_untouched(t, pp);
    page_decref(pp);
}

static void map_bounds(struct EptTest *t)
{
    struct PageInfo *pp = ept_test_frame();
    ept_expect_result(t, "ept_map_hva2gpa beyond 48 bits", -E_INVAL,
                      ept_map_hva2gpa(t->v->vm, page2kva(pp), BEYOND_48_BITS, EPTE_RWX, true));
    expect_untouched(t, pp);
    page_decref(pp);
}

static void map_no_memory(struct EptTest *t)
{
    struct PageInfo *pp = ept_test_frame();
    for (size_t n = 0; n < TABLES_PER_WALK && !t->failed; n++) {
        gpa_t gpa = n * 512 * PGSIZE_1G + SOME_GPA;
        ept_hoard_all_but(n);
        int r = ept_map_hva2gpa(t->v->vm, page2kva(pp), gpa, EPTE_RWX, true);
        ept_hoard_release();
        ept_expect_result(t, "ept_map_hva2gpa without memory for all tables", -E_NO_MEM, r);
        expect_untouched(t, pp);
    }
    map(t, pp, SOME_GPA, EPTE_RWX);
    ept_expect(t, "references on the frame once memory is back", 2, pp->pp_ref);
    page_decref(pp);
}

/* ---- ept_map_hva2gpa: another mapping is there ---- */

static void busy_without_overwrite(struct EptTest *t)
{
    struct PageInfo *old = ept_test_frame(), *new = ept_test_frame();
    map(t, old, SOME_GPA, EPTE_R);
    ept_expect_result(t, "ept_map_hva2gpa on a mapping, without overwrite", -E_BUSY,
                      ept_map_hva2gpa(t->v->vm, page2kva(new), SOME_GPA, EPTE_RWX, false));
    ept_expect(t, "address in the entry", page2pa(old), PTE_ADDR(ept_census(t->v).leaf));
    ept_expect(t, "references on the old frame", 2, old->pp_ref);
    ept_expect(t, "references on the frame that was not mapped", 1, new->pp_ref);
    page_decref(old);
    page_decref(new);
}

static void overwrite_replaces(struct EptTest *t)
{
    struct PageInfo *old = ept_test_frame(), *new = ept_test_frame();
    map(t, old, SOME_GPA, EPTE_RWX);
    ept_expect_result(t, "ept_page_insert on a mapping", 0,
                      ept_page_insert(t->v->vm, new, SOME_GPA, EPTE_R));
    struct EptCensus c = ept_census(t->v);
    ept_expect(t, "entries of level 0 that are not 0", 1, c.leaves);
    ept_expect(t, "address in the entry", page2pa(new), PTE_ADDR(c.leaf));
    ept_expect(t, "rights of the entry", EPTE_R, c.leaf & EPTE_RWX);
    page_decref(old);
    page_decref(new);
}

static void overwrite_references(struct EptTest *t)
{
    struct PageInfo *old = ept_test_frame(), *new = ept_test_frame();
    map(t, old, SOME_GPA, EPTE_RWX);
    ept_page_insert(t->v->vm, new, SOME_GPA, EPTE_RWX);
    ept_expect(t, "references on the frame that was replaced", 1, old->pp_ref);
    ept_expect(t, "references on the new frame", 2, new->pp_ref);
    ept_page_insert(t->v->vm, new, SOME_GPA, EPTE_RWX);
    ept_expect(t, "references on a frame that replaces itself", 2, new->pp_ref);
    page_decref(old);
    page_decref(new);
}

/* A change that takes something away, from these rights to those; `other`: of the frame, too. */
static void expect_flush(struct EptTest *t, const char *what, uint64_t from, uint64_t to,
                         bool other)
{
    struct PageInfo *old = ept_test_frame(), *new = other ? ept_test_frame() : old;
    ept_page_insert(t->v->vm, old, SOME_GPA, from);
    t->v->attn &= ~ATTN_STAGE2_FLUSH;
    ept_page_insert(t->v->vm, new, SOME_GPA, to);
    ept_expect(t, what, ATTN_STAGE2_FLUSH, t->v->attn & ATTN_STAGE2_FLUSH);
    page_decref(old);
    if (other)
        page_decref(new);
}

static void shrinking_flushes(struct EptTest *t)
{
    expect_flush(t, "ATTN_STAGE2_FLUSH after another frame", EPTE_RWX, EPTE_RWX, true);
    expect_flush(t, "ATTN_STAGE2_FLUSH after W was taken away", EPTE_RWX, EPTE_R | EPTE_X, false);
    expect_flush(t, "ATTN_STAGE2_FLUSH after X was taken away", EPTE_RWX, EPTE_R | EPTE_W, false);
}

/* ---- Counts, and two guests ---- */

static void references_once(struct EptTest *t)
{
    struct PageInfo *pp = ept_test_frame();
    map(t, pp, SOME_GPA, EPTE_RWX);
    ept_expect(t, "references on a frame mapped once", 2, pp->pp_ref);
    map(t, pp, SOME_GPA + PGSIZE_1G, EPTE_RWX);
    ept_expect(t, "references on a frame mapped twice", 3, pp->pp_ref);
    page_decref(pp);
}

static void pages_counted(struct EptTest *t)
{
    struct PageInfo *pp = ept_test_frame();
    map(t, pp, SOME_GPA, EPTE_RWX);
    map(t, pp, SOME_GPA + PGSIZE, EPTE_RWX);
    ept_page_insert(t->v->vm, pp, SOME_GPA, EPTE_R);
    ept_map_hva2gpa(t->v->vm, page2kva(pp), SOME_GPA, EPTE_R, false);
    ept_expect(t, "stats.pages after two pages, one of them mapped twice", 2,
               t->v->vm->stats.pages);
    page_decref(pp);
}

static void teardown(struct EptTest *t)
{
    struct Vcpu *other;
    struct PageInfo *pp = ept_test_frame();
    size_t before = page_nfree();
    if (!ept_expect_result(t, "vm_alloc", 0, vm_alloc(&other, EPT_TEST_MEMORY, 0, 0)))
        return;
    for (gpa_t gpa = 0; gpa < 8 * PGSIZE_2M; gpa += PGSIZE_2M - PGSIZE)
        ept_page_insert(other->vm, pp, gpa, EPTE_RWX);
    vm_drop(other->vm);
    ept_expect(t, "references on a frame whose guest is gone", 1, pp->pp_ref);
    ept_expect(t, "number of free frames, as before the guest", before, page_nfree());
    page_decref(pp);
}

static void guests_apart(struct EptTest *t)
{
    struct Vcpu *other;
    struct PageInfo *mine = ept_test_frame(), *its = ept_test_frame();
    if (!ept_expect_result(t, "vm_alloc", 0, vm_alloc(&other, EPT_TEST_MEMORY, 0, 0)))
        return;
    map(t, mine, SOME_GPA, EPTE_RWX);
    ept_expect(t, "address of what only the other guest has", 0,
               (uint64_t)ept_gpa2hva(other->vm, SOME_GPA, NULL));
    ept_page_insert(other->vm, its, SOME_GPA, EPTE_RWX);
    ept_expect(t, "address of the other guest's page", (uint64_t)page2kva(its),
               (uint64_t)ept_gpa2hva(other->vm, SOME_GPA, NULL));
    vm_drop(other->vm);
    ept_expect(t, "address of the guest's page", (uint64_t)page2kva(mine),
               (uint64_t)ept_gpa2hva(t->v->vm, SOME_GPA, NULL));
    ept_expect(t, "references on the guest's frame", 2, mine->pp_ref);
    page_decref(mine);
    page_decref(its);
}

static void gpa2hva(struct EptTest *t)
{
    struct PageInfo *pp = ept_test_frame();
    uint32_t rights = 0;
    ept_expect(t, "address of a page that is not mapped", 0,
               (uint64_t)ept_gpa2hva(t->v->vm, SOME_GPA, &rights));
    ept_expect_tables(t, "after ept_gpa2hva", (uint32_t[]){ 0, 0, 0, 1 });
    map(t, pp, SOME_GPA, EPTE_R | EPTE_W);
    ept_expect(t, "address of byte 0xabc of a page", (uint64_t)page2kva(pp) + 0xabc,
               (uint64_t)ept_gpa2hva(t->v->vm, SOME_GPA + 0xabc, &rights));
    ept_expect(t, "its rights", EPTE_R | EPTE_W, rights);
    ept_expect(t, "address of its neighbour", 0,
               (uint64_t)ept_gpa2hva(t->v->vm, SOME_GPA + PGSIZE, NULL));
    page_decref(pp);
}

const struct EptProperty ept_map_properties[] = {
    { 2, "leaf-address", leaf_address },
    { 2, "leaf-rights", leaf_rights },
    { 2, "leaf-memory-type", leaf_memory_type },
    { 2, "leaf-ignores-pat", leaf_ignores_pat },
    { 2, "rights-need-read", rights_need_read },
    { 2, "alignment", map_alignment },
    { 2, "bounds", map_bounds },
    { 2, "no-memory", map_no_memory },
    { 2, "busy-without-overwrite", busy_without_overwrite },
    { 2, "overwrite-replaces", overwrite_replaces },
    { 2, "overwrite-references", overwrite_references },
    { 2, "shrinking-flushes", shrinking_flushes },
    { 2, "references-once", references_once },
    { 2, "pages-counted", pages_counted },
    { 2, "teardown", teardown },
    { 2, "guests-apart", guests_apart },
    { 2, "gpa-to-hva", gpa2hva },
    { 0, NULL, NULL },
};
