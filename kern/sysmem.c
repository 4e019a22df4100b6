/*
 * The address spaces of envs, and the system calls that change them.
 */
#include <inc/assert.h>
#include <inc/error.h>
#include <inc/stdio.h>
#include <inc/string.h>
#include <inc/syscall.h>
#include <inc/x86.h>
#include <kern/cpu.h>
#include <kern/env.h>
#include <kern/frame.h>
#include <kern/pmap.h>
#include <kern/spinlock.h>
#include <kern/sysmem.h>

static bool va_valid(uintptr_t va)
{
    return va < UTOP && va % PGSIZE == 0;
}

/* ---- The memory of an env: env_mem is held ---- */

/* The way through all levels, which finds another page table to remember. */
static uint64_t *__attribute__((noinline)) walk(struct Env *e, uintptr_t va, bool create)
{
    uint64_t *pte = pml4_walk(e->env_pml4, va, create);

    if (pte) {
        e->env_table = ROUNDDOWN(pte, PGSIZE);
        e->env_table_va = ROUNDDOWN(va, PGSIZE_2M);
    }
    return pte;
}

/* The page-table entry of va, as pml4_walk finds it. Most calls use the page table that the last
 * one used; it is there as long as the address space. */
ALWAYS_INLINE uint64_t *env_pte(struct Env *e, uintptr_t va, bool create)
{
    if ((va ^ e->env_table_va) < PGSIZE_2M)
        return &e->env_table[PTX(va, 0)];
    return walk(e, va, create);
}

/* env_map, but the mapping takes over a reference of the caller's unless the result is an error. */
static inline int env_give(struct Env *e, struct PageInfo *pp, uintptr_t va, uint64_t perm)
{
    uint64_t *pte = env_pte(e, va, true);

    if (!pte)
        return -E_NO_MEM;
    if (perm & PTE_W)
        perm |= PTE_NX;
    e->env_pages += !pte_map(e, pte, va, pp, perm);
    return 0;
}

int env_map(struct Env *e, struct PageInfo *pp, uintptr_t va, uint64_t perm)
{
    int r;

    page_incref(pp); /* first, in case pp is what is mapped there now */
    if ((r = env_give(e, pp, va, perm)) < 0)
        page_decref(pp);
    return r;
}

static inline void env_unmap(struct Env *e, uintptr_t va)
{
    uint64_t *pte = env_pte(e, va, false);

    if (pte)
        e->env_pages -= pte_unmap(e, pte, va);
}

static void drop_refs(struct PageInfo *const pp[], size_t n)
{
    for (size_t i = 0; i < n; i++)
        page_decref(pp[i]);
}

/* Unmap n pages. */
static void unmap_pages(struct Env *e, uintptr_t va, size_t n)
{
    for (size_t i = 0; i < n; i++)
        env_unmap(e, va + i * PGSIZE);
}

/* env_give where nothing is mapped and the page table is the last one used, which is usual for a
 * row of pages. false: it is not so, and nothing is done. */
ALWAYS_INLINE bool give_quickly(struct Env *e, struct PageInfo *pp, uintptr_t va, uint64_t perm)
{
    uint64_t *pte = &e->env_table[PTX(va, 0)];

    if ((va ^ e->env_table_va) >= PGSIZE_2M || (READ_ONCE(*pte) & PTE_P))
        return false;
    WRITE_ONCE(*pte, page2pa(pp) | perm);
    e->env_pages++;
    return true;
}

/* Make the page tables for n pages, which are in two at most. The first page's is the last used. */
ALWAYS_INLINE bool has_tables(struct Env *e, uintptr_t va, size_t n)
{
    uintptr_t last = va + (n - 1) * PGSIZE;

    return ((va ^ last) < PGSIZE_2M || env_pte(e, last, true)) && env_pte(e, va, true);
}

/* Map n pages. The mappings take over the references. -E_NO_MEM: nothing is mapped or replaced, and
 * the references are dropped. */
static int give_pages(struct Env *e, struct PageInfo *const pp[], size_t n, uintptr_t va,
                      uint64_t perm)
{
    uint64_t entry = perm & PTE_W ? perm | PTE_NX : perm;

    if (!cpu_features.nx)
        entry &= ~PTE_NX;
    if (!has_tables(e, va, n)) {
        drop_refs(pp, n);
        return -E_NO_MEM;
    }
    for (size_t i = 0; i < n; i++)
        if (!give_quickly(e, pp[i], va + i * PGSIZE, entry))
            env_give(e, pp[i], va + i * PGSIZE, perm); /* there is a page table */
    return 0;
}

void env_page_drop(struct Env *e, uintptr_t va)
{
    spin_lock(env_mem(e));
    env_unmap(e, va);
    spin_unlock(env_mem(e));
}

static int __attribute__((noinline)) child_memory_open(envid_t id, struct Env **e)
{
    if (envid2env(id, e, true) < 0)
        return -E_BAD_ENV;
    spin_lock(env_mem(*e));
    /* Another CPU may have ended the child, and reused its slot, before the lock was ours. */
    if (envid2env(id, e, true) == 0 && (*e)->env_pml4)
        return 0;
    spin_unlock(env_mem(&envs[ENVX(id)]));
    return -E_BAD_ENV;
}

/* An env whose memory the caller may change: itself or a child, and no guest. Returns with env_mem
 * held. */
static inline int memory_open(envid_t id, struct Env **e)
{
    if (__builtin_expect(id != 0, 0))
        return child_memory_open(id, e);
    *e = curenv;
    spin_lock(env_mem(*e));
    return 0;
}

/* sys_page_alloc of several pages, or of what cannot be. */
static int64_t __attribute__((noinline)) alloc_pages(envid_t id, uintptr_t va, uint64_t perm)
{
    size_t n = PERM_PAGES_IN(perm), got = 0;
    struct PageInfo *pp[PERM_PAGES_MAX];
    struct Env *e;
    int r;

    perm &= ~PERM_PAGES_MASK;
    if (!va_valid(va) || n > (UTOP - va) / PGSIZE || !perm_valid(perm))
        return (r = envid2env(id, &e, true)) < 0 ? r : -E_INVAL;
    while (got < n && (pp[got] = page_alloc(ALLOC_ZERO)))
        page_incref(pp[got++]);
    r = got == n ? memory_open(id, &e) : -E_NO_MEM;
    if (r < 0) {
        drop_refs(pp, got);
        return r;
    }
    r = give_pages(e, pp, n, va, perm);
    spin_unlock(env_mem(e));
    return r;
}

int64_t sys_page_alloc(envid_t id, uintptr_t va, uint64_t perm)
{
    struct PageInfo *pp;
    struct Env *e;
    int r;

    if (!va_valid(va) || !perm_valid(perm))
        return alloc_pages(id, va, perm);
    if (!(pp = page_alloc(ALLOC_ZERO)))
        return -E_NO_MEM;
    page_incref(pp);
    if ((r = memory_open(id, &e)) == 0) {
        r = env_give(e, pp, va, perm);
        spin_unlock(env_mem(e));
    }
    if (r < 0)
        page_decref(pp);
    return r;
}

/* The frame at va of e, to be mapped elsewhere with perm. env_mem is held. Takes a reference; *pp
 * is set only then. */
ALWAYS_INLINE int page_take(struct Env *e, uintptr_t va, uint64_t perm, struct PageInfo **pp)
{
    uint64_t *pte, entry, needed = PTE_P | (perm & PTE_W);

    if (va >= UTOP || va % PGSIZE || !perm_valid(perm))
        return -E_INVAL;
    pte = env_pte(e, va, false);
    entry = pte ? READ_ONCE(*pte) : 0;
    if ((entry & needed) != needed)
        return -E_INVAL;
    *pp = pa2page(PTE_ADDR(entry));
    page_incref(*pp);
    return 0;
}

/* page_take of n pages; all or none. */
static int take_pages(struct Env *e, uintptr_t va, size_t n, uint64_t perm, struct PageInfo *pp[])
{
    for (size_t i = 0; i < n; i++) {
        int r = page_take(e, va + i * PGSIZE, perm, &pp[i]);
        if (r < 0) {
            drop_refs(pp, i);
            return r;
        }
    }
    return 0;
}

int env_page_take(struct Env *e, uintptr_t va, uint64_t perm, struct PageInfo **pp)
{
    int r = -E_INVAL;

    spin_lock(env_mem(e));
    if (e->env_pml4)
        r = page_take(e, va, perm & ~PERM_PAGES_MASK, pp);
    spin_unlock(env_mem(e));
    return r;
}

int env_page_give(struct Env *e, struct PageInfo *pp, uintptr_t va, uint64_t perm)
{
    int r;

    spin_lock(env_mem(e));
    r = env_give(e, pp, va, perm);
    spin_unlock(env_mem(e));
    return r;
}

int env_pages_take(struct Env *e, uintptr_t va, size_t n, uint64_t perm, struct PageInfo *pp[])
{
    int r = -E_INVAL;

    spin_lock(env_mem(e));
    if (e->env_pml4)
        r = take_pages(e, va, n, perm, pp);
    spin_unlock(env_mem(e));
    return r;
}

int env_pages_check(struct Env *e, uintptr_t va, size_t n, uint64_t perm)
{
    struct PageInfo *pp[PERM_PAGES_MAX];
    int r = env_pages_take(e, va, n, perm, pp);

    if (r == 0)
        drop_refs(pp, n);
    return r;
}

int env_pages_give(struct Env *e, struct PageInfo *const pp[], size_t n, uintptr_t va,
                   uint64_t perm)
{
    spin_lock(env_mem(e));
    int r = give_pages(e, pp, n, va, perm);
    spin_unlock(env_mem(e));
    return r;
}

void env_pages_drop(struct Env *e, uintptr_t va, size_t n)
{
    spin_lock(env_mem(e));
    unmap_pages(e, va, n);
    spin_unlock(env_mem(e));
}

int64_t sys_page_map(envid_t srcid, uintptr_t srcva, envid_t dstid, uintptr_t dstva, uint64_t perm)
{
    struct PageInfo *pp;
    struct Env *src, *dst;
    int r;

    if ((r = memory_open(srcid, &src)) < 0)
        return r;
    r = va_valid(dstva) ? page_take(src, srcva, perm, &pp) : -E_INVAL;
    spin_unlock(env_mem(src));
    if (r < 0)
        return r;
    if ((r = memory_open(dstid, &dst)) == 0) {
        r = env_give(dst, pp, dstva, perm);
        spin_unlock(env_mem(dst));
    }
    if (r < 0)
        page_decref(pp);
    return r;
}

int64_t sys_page_unmap(envid_t id, uintptr_t va)
{
    struct Env *e;
    int r;

    if ((r = memory_open(id, &e)) < 0)
        return r;
    if (va_valid(va))
        env_unmap(e, va);
    spin_unlock(env_mem(e));
    return va_valid(va) ? 0 : -E_INVAL;
}

/* ---- Forking a range: what sys_page_map does for one page, for a run of them ---- */

#define FORK_RUN                                                                     \
    64ul /* pages that are taken under the parent's lock before the child's is taken \
          */

/* What the child gets where the parent has *pte, which becomes copy-on-write if it is private and
 * writable. */
static uint64_t fork_entry(uint64_t *pte)
{
    uint64_t entry = READ_ONCE(*pte);

    if ((entry & PTE_W) && !(entry & PTE_SHARE)) {
        entry = (entry & ~PTE_W) | PTE_COW;
        WRITE_ONCE(*pte, entry);
    }
    return entry & ~(PTE_A | PTE_D);
}

/* Collect the current env's entries of the first run of mapped pages in [*from, to), which is in
 * one page table, each with a reference. Returns how many, and in *from the first one's address. */
static size_t fork_take(uintptr_t *from, uintptr_t to, uint64_t run[FORK_RUN])
{
    struct Env *e = curenv;
    uint64_t *pte;
    size_t n = 0, left = (to - *from) / PGSIZE, skip = left;

    spin_lock(env_mem(e));
    if ((pte = env_pte(e, *from, false)))
        skip = zero_words(pte, left);
    *from += skip * PGSIZE;
    for (left = MIN(left - skip, FORK_RUN); n < left && (READ_ONCE(pte[skip + n]) & PTE_P); n++) {
        run[n] = fork_entry(&pte[skip + n]);
        page_incref(pa2page(PTE_ADDR(run[n])));
    }
    cpu_load_cr3(e->env_cr3); /* forget that pages were writable */
    spin_unlock(env_mem(e));
    return n;
}

/* Map a run in the child, which takes over the references. Its env_mem is held. -E_NO_MEM. */
static int fork_put(struct Env *child, uintptr_t va, const uint64_t *run, size_t n)
{
    uint64_t *pte = env_pte(child, va, true);

    if (!pte)
        return -E_NO_MEM;
    for (size_t i = 0; i < n; i++) {
        if (pte[i] & PTE_P)
            env_unmap(child, va + i * PGSIZE);
        pte[i] = run[i];
    }
    child->env_pages += n;
    return 0;
}

static int fork_run(envid_t id, uintptr_t va, const uint64_t *run, size_t n)
{
    struct Env *child;
    int r = memory_open(id, &child);

    if (r == 0) {
        r = fork_put(child, va, run, n);
        spin_unlock(env_mem(child));
    }
    for (size_t i = 0; r < 0 && i < n; i++)
        page_decref(pa2page(PTE_ADDR(run[i])));
    return r;
}

int64_t sys_page_fork(envid_t id, uintptr_t from, uintptr_t to)
{
    uint64_t run[FORK_RUN];
    struct Env *child;
    size_t n;
    int r;

    if ((r = envid2env(id, &child, true)) < 0 || child == curenv)
        return -E_BAD_ENV;
    if (from % PGSIZE || to % PGSIZE || from >= to || to > UTOP)
        return -E_INVAL;
    to = MIN(to, ROUNDDOWN(from, PGSIZE_2M) + PGSIZE_2M);
    for (; r == 0 && from < to && (n = fork_take(&from, to, run)) > 0; from += n * PGSIZE)
        r = fork_run(id, from, run, n);
    return r;
}
