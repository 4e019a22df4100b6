/*
 * The test of guest memory: the system calls that make a guest (exercise 1) and give it memory
 * (exercise 3). They are called as a monitor calls them, an env that is current here. inc/lib.h has
 * their contracts.
 */
#include <inc/error.h>
#include <vmm/stop.h>
#include <vmm/syscalls.h>
#include <kern/envlife.h>
#include <kern/sysmem.h>
#include <vmm/test/ept.h>

#define SRC_VA     UTEMP                   /* where the monitor has a page, */
#define SRC_RO_VA  (UTEMP + PGSIZE)        /* and one that it may only read */
#define NOTHING_VA (UTEMP + 2 * PGSIZE)    /* where it has none */
#define PERM       (PTE_P | PTE_U | PTE_W) /* of what it gives */
#define NO_ENVID   0x7ffffc00              /* nobody's */

/* ---- Exercise 3: sys_ept_map ---- */

/* The monitor gets a page of its own at SRC_VA and, read-only, at SRC_RO_VA; returned with a
 * reference for the test. */
static struct PageInfo *source_page(struct EptTest *t)
{
    struct PageInfo *pp = ept_test_frame();
    spin_lock(env_mem(t->monitor));
    if (env_map(t->monitor, pp, SRC_VA, PTE_U | PTE_W) < 0 ||
        env_map(t->monitor, pp, SRC_RO_VA, PTE_U) < 0)
        ept_expect_result(t, "a page for the monitor", 0, -E_NO_MEM);
    spin_unlock(env_mem(t->monitor));
    return pp;
}

/* A lock that was left held would stop the test: note it, and go on. */
static void expect_unlocked(struct EptTest *t, const char *what)
{
    ept_expect(t, what, 0, env_mem(t->env)->locked);
    if (env_mem(t->env)->locked)
        spin_unlock(env_mem(t->env));
}

struct Call {
    const char *what;
    int64_t expected;
    envid_t srcenv;
    uintptr_t srcva;
    gpa_t gpa;
    uint64_t perm;
};

static void try_call(struct EptTest *t, const struct Call *c)
{
    int64_t r = sys_ept_map(c->srcenv, c->srcva, t->env->env_id, c->gpa, c->perm);
    ept_expect_result(t, c->what, c->expected, r);
    expect_unlocked(t, "the guest's lock after sys_ept_map");
}

/* Calls that are refused and change nothing. */
static void expect_refused(struct EptTest *t, const struct Call *calls, size_t n)
{
    struct PageInfo *pp = source_page(t);
    uint16_t refs = pp->pp_ref;
    for (size_t i = 0; i < n; i++) {
        try_call(t, &calls[i]);
        ept_expect(t, "references on the page after a call that was refused", refs, pp->pp_ref);
    }
    ept_expect(t, "pages mapped by calls that were refused", 0, ept_census(t->v).leaves);
    page_decref(pp);
}

static void call_maps(struct EptTest *t)
{
    struct PageInfo *pp = source_page(t);
    try_call(t, &(struct Call){ "sys_ept_map", 0, 0, SRC_VA, SOME_GPA, PERM });
    struct EptCensus c = ept_census(t->v);
    ept_expect(t, "pages mapped", 1, c.leaves);
    ept_expect(t, "gpa of the page", SOME_GPA, c.gpa);
    ept_expect(t, "frame of the page", page2pa(pp), PTE_ADDR(c.leaf));
    try_call(t, &(struct Call){ "sys_ept_map with the caller's own id", 0, t->monitor->env_id,
                                SRC_VA, SOME_GPA + PGSIZE, PERM });
    page_decref(pp);
}

static void call_rights(struct EptTest *t)
{
    static const struct {
        uint64_t perm, rights;
    } cases[] = {
        { PTE_P | PTE_U, EPTE_R | EPTE_X },
        { PTE_P | PTE_U | PTE_W, EPTE_RWX },
        { PTE_P | PTE_U | PTE_NX, EPTE_R },
        { PTE_P | PTE_U | PTE_W | PTE_NX, EPTE_R | EPTE_W },
    };
    struct PageInfo *pp = source_page(t);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        try_call(t, &(struct Call){ "sys_ept_map", 0, 0, SRC_VA, SOME_GPA, cases[i].perm });
        ept_expect(t, "EPT rights", cases[i].rights, ept_census(t->v).leaf & EPTE_RWX);
    }
    page_decref(pp);
}

static void call_permissions(struct EptTest *t)
{
    static const struct Call calls[] = {
        { "sys_ept_map without PTE_P", -E_INVAL, 0, SRC_VA, SOME_GPA, PTE_U | PTE_W },
        { "sys_ept_map without PTE_U", -E_INVAL, 0, SRC_VA, SOME_GPA, PTE_P | PTE_W },
        { "sys_ept_map with PTE_COW", -E_INVAL, 0, SRC_VA, SOME_GPA, PERM | PTE_COW },
        { "sys_ept_map with PTE_PS", -E_INVAL, 0, SRC_VA, SOME_GPA, PERM | PTE_PS },
        { "sys_ept_map with bit 52", -E_INVAL, 0, SRC_VA, SOME_GPA, PERM | 1ul << 52 },
        { "sys_ept_map, writable, of a read-only page", -E_INVAL, 0, SRC_RO_VA, SOME_GPA, PERM },
    };
    expect_refused(t, calls, ARRAY_SIZE(calls));
}

static void call_source(struct EptTest *t)
{
    const struct Call calls[] = {
        { "sys_ept_map of another env's page", -E_BAD_ENV, NO_ENVID, SRC_VA, SOME_GPA, PERM },
        { "sys_ept_map of the guest's page", -E_BAD_ENV, t->env->env_id, SRC_VA, SOME_GPA, PERM },
        { "sys_ept_map of a page that is not there", -E_INVAL, 0, NOTHING_VA, SOME_GPA, PERM },
        { "sys_ept_map of the midst of a page", -E_INVAL, 0, SRC_VA + 8, SOME_GPA, PERM },
        { "sys_ept_map of an address above UTOP", -E_INVAL, 0, UTOP, SOME_GPA, PERM },
        { "sys_ept_map of kernel memory", -E_INVAL, 0, KERNBASE, SOME_GPA, PERM },
        { "sys_ept_map of the last page", -E_INVAL, 0, -PGSIZE, SOME_GPA, PERM },
    };
    expect_refused(t, calls, ARRAY_SIZE(calls));
}

static void call_bounds(struct EptTest *t)
{
    static const struct Call calls[] = {
        { "sys_ept_map at the end of memory", -E_INVAL, 0, SRC_VA, EPT_TEST_MEMORY, PERM },
        { "sys_ept_map in the hole", -E_INVAL, 0, SRC_VA, GUEST_HOLE_START, PERM },
        { "sys_ept_map behind the hole", -E_INVAL, 0, SRC_VA, GUEST_HOLE_END, PERM },
        { "sys_ept_map beyond 48 bits", -E_INVAL, 0, SRC_VA, BEYOND_48_BITS, PERM },
        { "sys_ept_map at the last page of all", -E_INVAL, 0, SRC_VA, -PGSIZE, PERM },
        { "sys_ept_map in the middle of a page", -E_INVAL, 0, SRC_VA, SOME_GPA + 8, PERM },
    };
    expect_refused(t, calls, ARRAY_SIZE(calls));
    struct PageInfo *pp = source_page(t);
    try_call(t, &(struct Call){ "sys_ept_map of the first page", 0, 0, SRC_VA, 0, PERM });
    try_call(t, &(struct Call){ "sys_ept_map of the last page of memory", 0, 0, SRC_VA,
                                EPT_TEST_MEMORY - PGSIZE, PERM });
    page_decref(pp);
}

static void call_guest(struct EptTest *t)
{
    struct PageInfo *pp = source_page(t);
    envid_t guest = t->env->env_id;
    ept_expect_result(t, "sys_ept_map to nobody", -E_BAD_ENV,
                      sys_ept_map(0, SRC_VA, NO_ENVID, SOME_GPA, PERM));
    ept_expect_result(t, "sys_ept_map to an env that is not a guest", -E_BAD_ENV,
                      sys_ept_map(0, SRC_VA, t->monitor->env_id, SOME_GPA, PERM));
    t->env->env_parent_id = NO_ENVID;
    ept_expect_result(t, "sys_ept_map to another monitor's guest", -E_BAD_ENV,
                      sys_ept_map(0, SRC_VA, guest, SOME_GPA, PERM));
    t->env->env_parent_id = t->monitor->env_id;
    expect_unlocked(t, "the guest's lock after sys_ept_map");
    ept_expect(t, "pages mapped by calls that were refused", 0, ept_census(t->v).leaves);
    page_decref(pp);
}

static void call_references(struct EptTest *t)
{
    struct PageInfo *pp = source_page(t), *old = ept_test_frame();
    uint16_t refs = pp->pp_ref;
    ept_page_insert(t->v->vm, old, SOME_GPA, EPTE_RWX);
    try_call(t, &(struct Call){ "sys_ept_map", 0, 0, SRC_VA, SOME_GPA, PERM });
    ept_expect(t, "references on the page after sys_ept_map", refs + 1, pp->pp_ref);
    ept_expect(t, "references on the page that was there before", 1, old->pp_ref);
    try_call(t, &(struct Call){ "sys_ept_map again", 0, 0, SRC_VA, SOME_GPA, PERM });
    ept_expect(t, "references on the page after the same again", refs + 1, pp->pp_ref);
    page_decref(old);
    page_decref(pp);
}

static void call_no_memory(struct EptTest *t)
{
    struct PageInfo *pp = source_page(t);
    uint16_t refs = pp->pp_ref;
    for (size_t n = 0; n < TABLES_PER_WALK; n++) {
        ept_hoard_all_but(n > 0); /* the tables that came before stay */
        try_call(t, &(struct Call){ "sys_ept_map without memory for all tables", -E_NO_MEM, 0,
                                    SRC_VA, SOME_GPA, PERM });
        ept_hoard_release();
        ept_expect(t, "references on the page without memory for tables", refs, pp->pp_ref);
        if (t->failed)
            break;
    }
    try_call(t, &(struct Call){ "sys_ept_map with memory", 0, 0, SRC_VA, SOME_GPA, PERM });
    page_decref(pp);
}

const struct EptProperty ept_call_properties[] = {
    { 3, "ept-map-maps", call_maps },
    { 3, "ept-map-rights", call_rights },
    { 3, "ept-map-permissions", call_permissions },
    { 3, "ept-map-source", call_source },
    { 3, "ept-map-bounds", call_bounds },
    { 3, "ept-map-guest", call_guest },
    { 3, "ept-map-references", call_references },
    { 3, "ept-map-no-memory", call_no_memory },
    { 0, NULL, NULL },
};

/* ---- Exercise 1: sys_env_mkguest ---- */

static int64_t mkguest(uint64_t memsize, gpa_t entry, int flags)
{
    return sys_env_mkguest(memsize, entry, flags, 0, 0);
}

static int64_t usual_mkguest(void)
{
    return mkguest(EPT_TEST_MEMORY, SOME_GPA, 0);
}

static void mkguest_makes(struct EptTest *t)
{
    int64_t id = mkguest(EPT_TEST_MEMORY, SOME_GPA, GUEST_INTERCEPT_PF);
    if (id <= 0) {
        ept_expect_result(t, "sys_env_mkguest", 0, id);
        return;
    }
    const struct Env *e = &envs[ENVX(id)];
    ept_expect(t, "env_id of the guest's slot", id, e->env_id);
    ept_expect(t, "env_type (ENV_TYPE_GUEST)", ENV_TYPE_GUEST, e->env_type);
    ept_expect(t, "env_parent_id", t->monitor->env_id, e->env_parent_id);
    ept_expect(t, "env_status (ENV_NOT_RUNNABLE)", ENV_NOT_RUNNABLE, e->env_status);
    if (!e->env_guest) {
        ept_expect(t, "a machine in env_guest", 1, 0);
        return;
    }
    ept_expect(t, "memory size of the guest", EPT_TEST_MEMORY, e->env_guest->vm->memsize);
    ept_expect(t, "entry point of the guest", SOME_GPA, e->env_guest->vm->entry);
    ept_expect(t, "flags of the guest", GUEST_INTERCEPT_PF, e->env_guest->vm->flags);
    ept_expect(t, "the machine's env", (uint64_t)e, (uint64_t)e->env_guest->env);
}

static void mkguest_apart(struct EptTest *t)
{
    int64_t one = usual_mkguest(), two = usual_mkguest();
    if (one <= 0 || two <= 0) {
        ept_expect_result(t, "sys_env_mkguest, twice", 0, MIN(one, two));
        return;
    }
    ept_expect(t, "two guests of one id", false, one == two);
    ept_expect(t, "two guests with one machine", false,
               envs[ENVX(one)].env_guest == envs[ENVX(two)].env_guest);
}

static void mkguest_arguments(struct EptTest *t)
{
    uint32_t before = env_nused();
    ept_expect_result(t, "sys_env_mkguest with too little memory", -E_INVAL,
                      mkguest(GUEST_MEM_MIN - PGSIZE, 0, 0));
    ept_expect_result(t, "sys_env_mkguest with too much memory", -E_INVAL,
                      mkguest(GUEST_MEM_MAX + PGSIZE, 0, 0));
    ept_expect_result(t, "sys_env_mkguest with half a page of memory", -E_INVAL,
                      mkguest(EPT_TEST_MEMORY + PGSIZE / 2, 0, 0));
    ept_expect_result(t, "sys_env_mkguest with an entry point beyond memory", -E_INVAL,
                      mkguest(EPT_TEST_MEMORY, EPT_TEST_MEMORY, 0));
    ept_expect_result(t, "sys_env_mkguest with an unknown flag", -E_INVAL,
                      mkguest(EPT_TEST_MEMORY, SOME_GPA, 1 << 30));
    ept_expect(t, "envs in use after calls that were refused", before, env_nused());
}

/* However many frames there are, a call succeeds or leaves nothing behind. */
static void mkguest_no_memory(struct EptTest *t)
{
    uint32_t used = env_nused();
    int64_t r = -E_NO_MEM;
    for (size_t n = 0; r == -E_NO_MEM && !t->failed; n++) {
        ept_hoard_all_but(n);
        r = usual_mkguest();
        size_t left = page_nfree();
        ept_hoard_release();
        if (r > 0)
            return;
        ept_expect_result(t, "sys_env_mkguest without memory", -E_NO_MEM, r);
        ept_expect(t, "free frames after sys_env_mkguest without memory", n, left);
        ept_expect(t, "envs in use after sys_env_mkguest without memory", used, env_nused());
    }
}

static void mkguest_no_env(struct EptTest *t)
{
    struct Env *e;
    while (env_alloc(&e, t->monitor, ENV_TYPE_GUEST) == 0)
        continue;
    size_t before = page_nfree();
    ept_expect_result(t, "sys_env_mkguest without a free env", -E_NO_FREE_ENV, usual_mkguest());
    ept_expect(t, "free frames after sys_env_mkguest without a free env", before, page_nfree());
}

static void mkguest_end(struct EptTest *t)
{
    size_t before = page_nfree();
    uint32_t used = env_nused();
    int64_t id = usual_mkguest();
    struct Env *e = &envs[ENVX(id)];
    if (id <= 0 || e->env_id != id) {
        ept_expect_result(t, "sys_env_mkguest", 0, id);
        return;
    }
    env_destroy(e, 0);
    env_reap(t->monitor, e);
    ept_expect(t, "free frames after the guest's end", before, page_nfree());
    ept_expect(t, "envs in use after the guest's end", used, env_nused());
}

const struct EptProperty ept_mkguest_properties[] = {
    { 1, "mkguest-makes", mkguest_makes },
    { 1, "mkguest-apart", mkguest_apart },
    { 1, "mkguest-arguments", mkguest_arguments },
    { 1, "mkguest-no-memory", mkguest_no_memory },
    { 1, "mkguest-no-env", mkguest_no_env },
    { 1, "mkguest-end", mkguest_end },
    { 0, NULL, NULL },
};
