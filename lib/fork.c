/*
 * fork: a child with the same memory, where a writable page is copied when one of the two writes to
 * it. Relies on the page-fault upcall for the copies.
 */
#include "internal.h"

/* Map the page at va into the child at the same address. The order matters: once the child has the
 * page read-only, the parent must not write to it, so its own mapping changes right after. */
static int share_page(envid_t child, uintptr_t va, uint64_t pte)
{
    void *page = (void *)va;
    uint64_t perm = pte & PTE_SYSCALL;

    if (!(perm & (PTE_W | PTE_COW)))
        return sys_page_map(0, page, child, page, perm);
    perm = (perm & ~PTE_W) | PTE_COW;
    int r = sys_page_map(0, page, child, page, perm);
    if (r < 0 || !(pte & PTE_W))
        return r;
    return sys_page_map(0, page, 0, page, perm);
}

static int copy_shared_range(envid_t child, uintptr_t from, uintptr_t to, uint64_t without)
{
    for (uintptr_t va = from; (va = uvpt_next(va)) < to; va += PGSIZE) {
        uint64_t pte = uvpt_entry(va);
        if (!(pte & PTE_SHARE) || (pte & without))
            continue;
        int r = sys_page_map(0, (void *)va, child, (void *)va, pte & PTE_SYSCALL);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The data pages of descriptors first: a pipe counts as closed when its data page has no more
 * references than the descriptor of one end, and that must not look so in between (lib/pipe.c). */
int copy_shared_pages(envid_t child, uint64_t without)
{
    int r = copy_shared_range(child, FDDATA, FDDATA + MAXFD * PGSIZE, without);
    if (r < 0)
        return r;
    r = copy_shared_range(child, 0, FDDATA, without);
    return r < 0 ? r : copy_shared_range(child, FDDATA + MAXFD * PGSIZE, UTOP, without);
}

static int copy_private_pages(envid_t child)
{
    for (uintptr_t va = 0; (va = uvpt_next(va)) < UTOP; va += PGSIZE) {
        uint64_t pte = uvpt_entry(va);
        if ((pte & PTE_SHARE) || va == UXSTACKTOP - PGSIZE)
            continue;
        int r = share_page(child, va, pte);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Everything that makes the child a copy of the caller; it is not running yet. */
static int fill_child(envid_t child)
{
    char name[ENV_NAME_LEN];
    for (size_t i = 0; i < sizeof(name); i++)
        name[i] = thisenv->env_name[i];
    sys_env_set_name(child, name);

    int r = sys_page_alloc(child, (void *)(UXSTACKTOP - PGSIZE), PERM_RW);
    if (r < 0)
        return r;
    if ((r = sys_env_set_pgfault_upcall(child, _pgfault_upcall)) < 0)
        return r;
    if ((r = copy_shared_pages(child, 0)) < 0)
        return r;
    if ((r = copy_private_pages(child)) < 0)
        return r;
    return sys_env_set_status(child, ENV_RUNNABLE);
}

envid_t fork(void)
{
    pgfault_use_cow();
    envid_t child = sys_exofork();
    if (child < 0)
        return child;
    if (child == 0) {
        thisenv = &envs[ENVX(sys_getenvid())];
        return 0;
    }
    int r = fill_child(child);
    if (r < 0) {
        sys_env_destroy(child);
        sys_env_wait(child, NULL, false);
        return r;
    }
    return child;
}
