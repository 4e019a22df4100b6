/*
 * Starts the programs that are embedded in the kernel image. Everything here is the build's own
 * work, so what is wrong with it is a panic.
 */
#include <inc/assert.h>
#include <inc/elf.h>
#include <inc/error.h>
#include <inc/string.h>
#include <kern/embed.h>
#include <kern/env.h>
#include <kern/envlife.h>
#include <kern/frame.h>
#include <kern/sched.h>
#include <kern/spinlock.h>
#include <kern/sysmem.h>

#define STACK_PAGES 4

static void map_segment(struct Env *e, const uint8_t *elf, const struct Proghdr64 *ph)
{
    uint64_t perm =
        PTE_U | (ph->p_flags & ELF_PF_W ? PTE_W : 0) | (ph->p_flags & ELF_PF_X ? 0 : PTE_NX);
    uintptr_t start = ROUNDDOWN(ph->p_vaddr, PGSIZE), file_end = ph->p_vaddr + ph->p_filesz;

    for (uintptr_t va = start; va < ph->p_vaddr + ph->p_memsz; va += PGSIZE) {
        struct PageInfo *pp = page_alloc(ALLOC_ZERO);
        uintptr_t from = MAX(va, ph->p_vaddr), to = MIN(va + PGSIZE, file_end);
        int r = -E_NO_MEM;
        spin_lock(env_mem(e));
        if (pp)
            r = env_map(e, pp, va, perm);
        spin_unlock(env_mem(e));
        if (r < 0)
            panic("no memory for the program %s: %e", e->env_name, r);
        if (from < to)
            memcpy((char *)page2kva(pp) + PGOFF(from), elf + ph->p_offset + (from - ph->p_vaddr),
                   to - from);
    }
}

void env_create(const uint8_t *elf, size_t size, enum EnvType type, const char *name)
{
    const struct Elf64 *h = (const void *)elf;
    const struct Proghdr64 *ph = (const void *)(elf + h->e_phoff);
    struct Proghdr64 stack = { .p_flags = ELF_PF_R | ELF_PF_W,
                               .p_vaddr = USTACKTOP - STACK_PAGES * PGSIZE,
                               .p_memsz = STACK_PAGES * PGSIZE };
    struct Env *e;
    int r;

    if ((r = env_alloc(&e, NULL, type)) < 0)
        panic("no env for the program %s: %e", name, r);
    strlcpy(e->env_name, name, sizeof(e->env_name));
    assert(size > sizeof(*h) && h->e_magic == ELF_MAGIC);
    for (int i = 0; i < h->e_phnum; i++)
        if (ph[i].p_type == ELF_PT_LOAD)
            map_segment(e, elf, &ph[i]);
    map_segment(e, elf, &stack);
    e->env_tf.tf_rip = h->e_entry;
    e->env_tf.tf_rsp = USTACKTOP;
    if (type == ENV_TYPE_FS)
        env_is_file_server(e);
    env_lock(e);
    sched_ready(e);
    env_unlock(e);
}
