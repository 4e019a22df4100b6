/*
 * The kernel's access to user memory. A page that is copy-on-write gets its copy when the kernel
 * writes to it, as when user code does.
 */
#include <inc/error.h>
#include <inc/stdio.h>
#include <inc/string.h>
#include <inc/x86.h>
#include <kern/cpu.h>
#include <kern/env.h>
#include <kern/envlife.h>
#include <kern/frame.h>
#include <kern/pmap.h>
#include <kern/spinlock.h>
#include <kern/sysmem.h>
#include <kern/trapentry.h>
#include <kern/uaccess.h>

static bool range_valid(uintptr_t va, size_t len)
{
    return va <= UTOP && len <= UTOP - va;
}

/* Give e its own copy of the copy-on-write page at va. env_mem is held. 0, -E_FAULT: it is none,
 * -E_NO_MEM. */
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
    struct Env *e = curenv;
    int r;

    if (va >= UTOP || !(err & FEC_WR) || !(err & FEC_PR) || !e)
        return false;
    spin_lock(env_mem(e)); /* its parent may change the same page on another CPU */
    r = cow_resolve(e, va);
    spin_unlock(env_mem(e));
    return r == 0;
}

/* user_mem_check of one page. env_mem is held. */
static int page_check(struct Env *e, uintptr_t va, uint64_t perm)
{
    uint64_t *pte;

    if (!page_lookup(e->env_pml4, va, &pte) || !(*pte & PTE_U))
        return -E_FAULT;
    return (perm & PTE_W) && !(*pte & PTE_W) ? cow_resolve(e, va) : 0;
}

int user_mem_check(struct Env *e, uintptr_t va, size_t len, uint64_t perm)
{
    int r = 0;

    if (!range_valid(va, len))
        return -E_FAULT;
    spin_lock(env_mem(e));
    for (uintptr_t p = ROUNDDOWN(va, PGSIZE); r == 0 && p < va + len; p += PGSIZE)
        r = page_check(e, p, perm);
    spin_unlock(env_mem(e));
    return r;
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
