/*
 * fork: a child with the same memory, where a writable page is copied when one of the two writes to
 * it. Relies on the page-fault upcall for the copies.
 */
#include "internal.h"

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

/* Everything that is mapped from `from` up to `to`, a page table at a time. */
static int fork_range(envid_t child, uintptr_t from, uintptr_t to)
{
    for (uintptr_t va = from; (va = uvpt_next(va)) < to; va = ROUNDUP(va + 1, PGSIZE_2M)) {
        int r = sys_page_fork(child, (void *)va, (void *)to);
        if (r < 0)
            return r;
    }
    return 0;
}

/* All but the exception stack; in the order of copy_shared_pages. */
static int fork_pages(envid_t child)
{
    const uintptr_t fddata_end = FDDATA + MAXFD * PGSIZE;
    int r = fork_range(child, FDDATA, fddata_end);

    if (r == 0)
        r = fork_range(child, 0, FDDATA);
    if (r == 0)
        r = fork_range(child, fddata_end, UXSTACKTOP - PGSIZE);
    return r < 0 ? r : fork_range(child, UXSTACKTOP, UTOP);
}

/* Everything that makes the child a copy of the caller; it is not running yet. */
static int fill_child(envid_t child)
{
    int r = sys_page_alloc(child, (void *)(UXSTACKTOP - PGSIZE), PERM_RW);
    if (r < 0)
        return r;
    if ((r = sys_env_set_pgfault_upcall(child, _pgfault_upcall)) < 0)
        return r;
    if ((r = fork_pages(child)) < 0)
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
