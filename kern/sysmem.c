/*
 * System calls that change address spaces, and the kernel's access to user memory.
 */
#include <inc/assert.h>
#include <inc/error.h>
#include <inc/stdio.h>
#include <inc/string.h>
#include <inc/x86.h>
#include <kern/cpu.h>
#include <kern/env.h>
#include <kern/pmap.h>
#include <kern/syscall.h>

/* kern/trapentry.S */
size_t user_copy(void *dst, const void *src, size_t len);
ssize_t user_copystr(char *dst, const char *src, size_t size);

bool perm_valid(uint64_t perm)
{
    return (perm & (PTE_P | PTE_U)) == (PTE_P | PTE_U) && !(perm & ~PTE_SYSCALL);
}

static bool va_valid(uintptr_t va)
{
    return va < UTOP && va % PGSIZE == 0;
}

int env_map(struct Env *e, struct PageInfo *pp, uintptr_t va, uint64_t perm)
{
    bool replaces = page_lookup(e->env_pml4, va, NULL) != NULL;
    int r;

    if (perm & PTE_W)
        perm |= PTE_NX;
    if ((r = page_insert(e->env_pml4, pp, va, perm)) < 0)
        return r;
    e->env_pages += !replaces;
    return 0;
}

void env_unmap(struct Env *e, uintptr_t va)
{
    if (!page_lookup(e->env_pml4, va, NULL))
        return;
    page_remove(e->env_pml4, va);
    e->env_pages--;
}

/* An env whose memory the caller may change: itself or a child, and no guest. */
static int memory_owner(envid_t id, struct Env **e)
{
    int r = envid2env(id, e, true);

    return r == 0 && !(*e)->env_pml4 ? -E_BAD_ENV : r;
}

int64_t sys_page_alloc(envid_t id, uintptr_t va, uint64_t perm)
{
    struct PageInfo *pp;
    struct Env *e;
    int r;

    if ((r = memory_owner(id, &e)) < 0)
        return r;
    if (!va_valid(va) || !perm_valid(perm))
        return -E_INVAL;
    if (!(pp = page_alloc(ALLOC_ZERO)))
        return -E_NO_MEM;
    page_incref(pp);
    r = env_map(e, pp, va, perm);
    page_decref(pp);
    return r;
}

int64_t sys_page_map(envid_t srcid, uintptr_t srcva, envid_t dstid, uintptr_t dstva, uint64_t perm)
{
    struct PageInfo *pp;
    struct Env *src, *dst;
    int r;

    if ((r = memory_owner(srcid, &src)) < 0 || (r = memory_owner(dstid, &dst)) < 0)
        return r;
    if (!va_valid(srcva) || !va_valid(dstva))
        return -E_INVAL;
    if ((r = ipc_source_page(src, srcva, perm, &pp)) < 0)
        return r;
    return env_map(dst, pp, dstva, perm);
}

int64_t sys_page_unmap(envid_t id, uintptr_t va)
{
    struct Env *e;
    int r;

    if ((r = memory_owner(id, &e)) < 0)
        return r;
    if (!va_valid(va))
        return -E_INVAL;
    env_unmap(e, va);
    return 0;
}

/* ---- Access to user memory ---- */

static bool range_valid(uintptr_t va, size_t len)
{
    return va <= UTOP && len <= UTOP - va;
}

/* Give e its own copy of the copy-on-write page at va. 0, -E_FAULT: it is none, -E_NO_MEM. */
static int cow_resolve(struct Env *e, uintptr_t va)
{
    uint64_t *pte;
    struct PageInfo *copy, *pp = page_lookup(e->env_pml4, va, &pte);
    int r;

    if (!pp || !(*pte & PTE_COW) || !(*pte & PTE_U))
        return -E_FAULT;
    if (!(copy = page_alloc(0)))
        return -E_NO_MEM;
    page_incref(copy);
    memcpy(page2kva(copy), page2kva(pp), PGSIZE);
    r = env_map(e, copy, ROUNDDOWN(va, PGSIZE), (PTE_FLAGS(*pte) & PTE_SYSCALL & ~PTE_COW) | PTE_W);
    page_decref(copy);
    return r;
}

bool user_access_recover(uintptr_t va, uint64_t err)
{
    return va < UTOP && (err & FEC_WR) && (err & FEC_PR) && curenv && cow_resolve(curenv, va) == 0;
}

int user_mem_check(struct Env *e, uintptr_t va, size_t len, uint64_t perm)
{
    if (!range_valid(va, len))
        return -E_FAULT;
    for (uintptr_t p = ROUNDDOWN(va, PGSIZE); p < va + len; p += PGSIZE) {
        uint64_t *pte;
        int r;
        if (!page_lookup(e->env_pml4, p, &pte) || !(*pte & PTE_U))
            return -E_FAULT;
        if ((perm & PTE_W) && !(*pte & PTE_W) && (r = cow_resolve(e, p)) < 0)
            return r;
    }
    return 0;
}

int user_mem_assert(struct Env *e, uintptr_t va, size_t len, uint64_t perm)
{
    int r = user_mem_check(e, va, len, perm);

    if (r < 0) {
        cprintf("[%08x] %s: bad user memory %#lx, %lu bytes\n", e->env_id, e->env_name, va, len);
        env_destroy(e, EXIT_FAULT);
    }
    return r;
}

int copyin(void *dst, uintptr_t src, size_t len)
{
    return range_valid(src, len) && user_copy(dst, (void *)src, len) == 0 ? 0 : -E_FAULT;
}

int copyout(uintptr_t dst, const void *src, size_t len)
{
    return range_valid(dst, len) && user_copy((void *)dst, src, len) == 0 ? 0 : -E_FAULT;
}

int copyinstr(char *dst, uintptr_t src, size_t size)
{
    ssize_t n;

    if (src >= UTOP || size == 0)
        return -E_FAULT;
    n = user_copystr(dst, (void *)src, MIN(size, UTOP - src));
    if (n < 0)
        return -E_FAULT;
    if (dst[n - 1] != '\0')
        dst[n - 1] = '\0';
    return n - 1;
}
