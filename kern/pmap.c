/*
 * Page tables: the kernel's own, those of envs, and the functions that map, look up and unmap
 * pages (SDM "4-Level Paging"). Frames come from kern/frame.c.
 */
#include <inc/assert.h>
#include <inc/error.h>
#include <inc/stdio.h>
#include <inc/string.h>
#include <inc/x86.h>
#include <kern/cpu.h>
#include <kern/env.h>
#include <kern/frame.h>
#include <kern/ipi.h>
#include <kern/kaddr.h>
#include <kern/platform.h>
#include <kern/pmap.h>

uint64_t *kern_pml4;
physaddr_t kern_cr3;
static void *zeroes;            /* a frame of zeroes, mapped where there is nothing to show */
static uint64_t user_info_pdpt; /* PML4 entry of UPAGES and UENVS, the same in every env */

extern const char text_start[], text_end[], rodata_start[], data_start[], kernel_end[];
extern uint64_t boot_pml4[];

uint64_t *pml4_walk_create(uint64_t *table, uintptr_t va)
{
    for (int level = 3; level > 0; level--) {
        uint64_t *pte = &table[PTX(va, level)];
        if (!(*pte & PTE_P)) {
            void *below = page_new();
            if (!below)
                return NULL;
            *pte = PADDR(below) | PTE_P | PTE_W | PTE_U;
        }
        pml4_descend(&table, va, level);
    }
    return &table[PTX(va, 0)];
}

/* Flush e's tables on the other CPU that may have them loaded: the one that e has, or had last. */
static void __attribute__((noinline)) tlb_invalidate_remote(const struct Env *e)
{
    struct Cpu *c;

    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* the entry first, then who has the tables */
    c = &cpus[READ_ONCE(e->env_cpunum)];
    if (READ_ONCE(c->cpu_cr3) == e->env_cr3)
        cpu_flush_remote(c);
}

/* Drop va's translation where these tables, of owner, are loaded. That is on one CPU at most, since
 * an env may run on another CPU only after its tables are no longer loaded here (kern/sched.c). The
 * entry has been changed before, so a CPU that loads them from now on finds it so. owner NULL: no
 * other CPU has them. */
ALWAYS_INLINE void tlb_invalidate(const struct Env *owner, const uint64_t *pml4, uintptr_t va)
{
    if (KADDR(this_cpu()->cpu_cr3) == pml4)
        invlpg((void *)va);
    else if (owner && ncpu > 1)
        tlb_invalidate_remote(owner);
}

/* Entries are read and written by marked accesses: the CPU that has the tables loaded sets their
 * accessed and dirty bits meanwhile, which nobody here needs. */
ALWAYS_INLINE bool entry_clear(const struct Env *owner, const uint64_t *pml4, uint64_t *pte,
                               uintptr_t va)
{
    uint64_t old = READ_ONCE(*pte);

    if (!(old & PTE_P))
        return false;
    WRITE_ONCE(*pte, 0);
    tlb_invalidate(owner, pml4, va);
    page_decref(pa2page(PTE_ADDR(old)));
    return true;
}

ALWAYS_INLINE bool entry_set(const struct Env *owner, const uint64_t *pml4, uint64_t *pte,
                             uintptr_t va, struct PageInfo *pp, uint64_t perm)
{
    uint64_t old = READ_ONCE(*pte);

    if (!cpu_features.nx)
        perm &= ~PTE_NX;
    WRITE_ONCE(*pte, page2pa(pp) | perm | PTE_P);
    if (!(old & PTE_P))
        return false;
    tlb_invalidate(owner, pml4, va);
    page_decref(pa2page(PTE_ADDR(old)));
    return true;
}

bool pte_unmap(const struct Env *e, uint64_t *pte, uintptr_t va)
{
    return entry_clear(e, e->env_pml4, pte, va);
}

bool pte_map(const struct Env *e, uint64_t *pte, uintptr_t va, struct PageInfo *pp, uint64_t perm)
{
    return entry_set(e, e->env_pml4, pte, va, pp, perm);
}

int device_map(uint64_t *pml4, uintptr_t va, physaddr_t pa, size_t size)
{
    for (size_t at = 0; at < size; at += PGSIZE) {
        uint64_t *pte = pml4_walk(pml4, va + at, true);
        if (!pte)
            return -E_NO_MEM;
        WRITE_ONCE(*pte, (pa + at) | PTE_P | PTE_W | PTE_U | PTE_PCD | PTE_PWT |
                             (cpu_features.nx ? PTE_NX : 0));
    }
    return 0;
}

int page_insert(uint64_t *pml4, struct PageInfo *pp, uintptr_t va, uint64_t perm)
{
    uint64_t *pte = pml4_walk(pml4, va, true);

    if (!pte)
        return -E_NO_MEM;
    page_incref(pp); /* first, in case pp is what is mapped there now */
    return entry_set(NULL, pml4, pte, va, pp, perm);
}

struct PageInfo *page_lookup(uint64_t *pml4, uintptr_t va, uint64_t **pte_store)
{
    uint64_t *pte = pml4_walk(pml4, va, false);

    if (pte_store)
        *pte_store = pte;
    if (!pte)
        return NULL;
    uint64_t entry = READ_ONCE(*pte);
    return entry & PTE_P ? pa2page(PTE_ADDR(entry)) : NULL;
}

bool page_remove(uint64_t *pml4, uintptr_t va)
{
    uint64_t *pte = pml4_walk(pml4, va, false);

    return pte && entry_clear(NULL, pml4, pte, va);
}

uint64_t *pml4_new(void)
{
    struct PageInfo *pp = page_alloc(0);
    uint64_t *pml4;

    if (!pp)
        return NULL;
    page_incref(pp);
    pml4 = page2kva(pp);
    memset(pml4, 0, PGSIZE / 2);
    memcpy(pml4 + NPTENTRIES / 2, kern_pml4 + NPTENTRIES / 2, PGSIZE / 2);
    pml4[PTX(UPAGES, 3)] = user_info_pdpt;
    pml4[PTX(UVPT, 3)] = page2pa(pp) | PTE_P | PTE_U | (cpu_features.nx ? PTE_NX : 0);
    return pml4;
}

/* Drop what the table at this level maps, then the table itself. */
static void table_free(uint64_t *table, int level)
{
    for (size_t i = 0; i < NPTENTRIES; i++) {
        i += zero_words(&table[i], NPTENTRIES - i);
        if (i == NPTENTRIES)
            break;
        if (level > 0)
            table_free(KADDR(PTE_ADDR(table[i])), level - 1);
        else
            page_decref(pa2page(PTE_ADDR(table[i])));
    }
    page_drop(table);
}

/* The same for what maps no frames. */
static void __attribute__((noinline, cold)) device_table_free(uint64_t *table, int level)
{
    for (size_t i = 0; level > 0 && i < NPTENTRIES; i++)
        if (table[i] & PTE_P)
            device_table_free(KADDR(PTE_ADDR(table[i])), level - 1);
    page_drop(table);
}

void pml4_free(uint64_t *pml4)
{
    uint64_t devices = pml4[PTX(UDEV, 3)];

    if (__builtin_expect(devices & PTE_P, 0))
        device_table_free(KADDR(PTE_ADDR(devices)), 2);
    for (unsigned i = 0; i <= PTX(UTOP - 1, 3); i++)
        if (pml4[i] & PTE_P)
            table_free(KADDR(PTE_ADDR(pml4[i])), 2);
    page_drop(pml4);
}

/* ---- The kernel's own mappings, made once at boot ---- */

/* A table for boot mappings; there is always memory for them, or no machine to run on. */
static uint64_t *boot_table(uint64_t *entry, uint64_t flags)
{
    if (!(*entry & PTE_P)) {
        void *table = boot_alloc(PGSIZE);
        memset(table, 0, PGSIZE);
        *entry = PADDR(table) | flags | PTE_P;
    }
    return KADDR(PTE_ADDR(*entry));
}

/* The table of this level for va. */
static uint64_t *boot_tables(uintptr_t va, int leaf, uint64_t flags)
{
    uint64_t *table = kern_pml4;

    for (int level = 3; level > leaf; level--)
        table = boot_table(&table[PTX(va, level)], flags);
    return table;
}

static uint64_t boot_entry(physaddr_t pa, uint64_t perm)
{
    return pa | (cpu_features.nx ? perm : perm & ~PTE_NX) | PTE_P;
}

/* Map `size` bytes from va on with 4 KiB pages, each `step` bytes after the last. */
static void boot_map_step(uintptr_t va, physaddr_t pa, size_t size, uint64_t perm, size_t step)
{
    uint64_t *table = NULL;

    for (uintptr_t end = va + size; va < end; va += PGSIZE, pa += step) {
        if (!table || PTX(va, 0) == 0)
            table = boot_tables(va, 0, PTE_W | (perm & PTE_U));
        table[PTX(va, 0)] = boot_entry(pa, perm);
    }
}

void boot_map(uintptr_t va, physaddr_t pa, size_t size, uint64_t perm)
{
    boot_map_step(va, pa, size, perm, PGSIZE);
}

/* All RAM at KERNBASE, with the largest pages that lie in it. */
static void map_direct(physaddr_t start, physaddr_t end)
{
    uint64_t perm = PTE_W | PTE_NX | PTE_G;
    physaddr_t pa = ROUNDDOWN(start, PGSIZE_2M);

    while (pa < end) {
        /* Only what is all RAM, so that no other range needs a table there. */
        bool huge =
            cpu_features.page1g && pa % PGSIZE_1G == 0 && pa >= start && end - pa >= PGSIZE_1G;
        int level = huge ? 2 : 1;
        boot_tables(KERNBASE + pa, level, PTE_W)[PTX(KERNBASE + pa, level)] =
            boot_entry(pa, perm | PTE_PS);
        pa += huge ? PGSIZE_1G : PGSIZE_2M;
    }
}

static void map_image(const char *from, const char *to, uint64_t perm)
{
    uintptr_t va = ROUNDDOWN((uintptr_t)from, PGSIZE);

    boot_map(va, va - KERNEL_VMA, ROUNDUP((uintptr_t)to, PGSIZE) - va, perm | PTE_G);
}

/* A kernel stack that grows too far meets a hole, and a double fault on a stack of its own says so.
 */
static void guard_stacks(void)
{
    for (int i = 0; i < NCPU; i++)
        *pml4_walk(kern_pml4, (uintptr_t)kstacks[i], false) = 0;
}

/* Fill a window with the frame of zeroes. */
static void map_zeroes(uintptr_t va, size_t size, uint64_t perm)
{
    boot_map_step(va, PADDR(zeroes), ROUNDUP(size, PGSIZE), perm | PTE_NX, 0);
}

/* The read-only windows of user space, in tables of their own that all envs share. */
static void map_user_info(void)
{
    zeroes = boot_alloc(PGSIZE);
    memset(zeroes, 0, PGSIZE);
    map_zeroes(UPAGES, npages * sizeof(*pages), PTE_U);
    map_zeroes(UENVS, NENV * ENV_SLOT, PTE_U);
    map_zeroes(KERNEL_ENVS, sizeof(envs), 0);
    user_info_pdpt = kern_pml4[PTX(UPAGES, 3)];
    kern_pml4[PTX(UPAGES, 3)] = 0;
}

/* The entry of va in the windows of user space. */
static uint64_t *user_info_pte(uintptr_t va)
{
    uint64_t *table = KADDR(PTE_ADDR(user_info_pdpt));

    pml4_descend(&table, va, 2);
    pml4_descend(&table, va, 1);
    return &table[PTX(va, 0)];
}

/* An entry that is in every address space has changed. */
static void flush_everywhere(uintptr_t va)
{
    invlpg((void *)va);
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* the entry first */
    for (uint32_t i = 0; i < ncpu; i++)
        if (&cpus[i] != this_cpu())
            cpu_flush_remote(&cpus[i]);
}

/* Show the frame at pa at this address of a window. */
static void show(uintptr_t va, physaddr_t pa)
{
    uint64_t *pte = user_info_pte(va);

    *pte = pa | PTE_FLAGS(*pte);
    flush_everywhere(va);
}

/* Map one page of envs[]. Other CPUs are flushed later (show). */
static void envs_set_page(const void *page, physaddr_t pa, uint64_t perm)
{
    uintptr_t va = ROUNDDOWN((uintptr_t)page, PGSIZE);

    *pml4_walk(kern_pml4, va, false) = boot_entry(pa, perm);
    invlpg((void *)va);
}

/* Let the envs that share frames with e have these two for their public and private parts. */
static void envs_set(const struct Env *e, physaddr_t public, physaddr_t private, uint64_t perm)
{
    uint32_t first = ROUNDDOWN((uint32_t)(e - envs), ENVS_PER_PAGE);

    for (e = &envs[first]; e < &envs[first + ENVS_PER_PAGE]; e++) {
        envs_set_page(e->env_public_page, public, perm);
        envs_set_page(e->env_private_page, private, perm);
    }
    show(UENVS + first * ENV_SLOT, public); /* which flushes all of them on other CPUs */
}

int envs_back(const struct Env *e)
{
    /* Nobody looks at the private part of a slot that is free, and who takes it clears it. */
    struct PageInfo *public = page_alloc(ALLOC_ZERO), *private = page_alloc(0);

    if (!public || !private) {
        if (public)
            page_free(public);
        if (private)
            page_free(private);
        return -E_NO_MEM;
    }
    page_incref(public);
    page_incref(private);
    envs_set(e, page2pa(public), page2pa(private), PTE_W);
    return 0;
}

static struct PageInfo *kernel_page(const void *va)
{
    return pa2page(PTE_ADDR(*pml4_walk(kern_pml4, (uintptr_t)va, false)));
}

void envs_unback(const struct Env *e)
{
    struct PageInfo *public = kernel_page(e->env_public_page);
    struct PageInfo *private = kernel_page(e->env_private_page);

    envs_set(e, PADDR(zeroes), PADDR(zeroes), 0);
    page_decref(public);
    page_decref(private);
}

void pages_back(ppn_t n)
{
    char *page = ROUNDDOWN((char *)&pages[n], PGSIZE);
    uintptr_t va = UPAGES + (page - (char *)pages);

    if (PTE_ADDR(*user_info_pte(va)) != PADDR(zeroes))
        return;
    memset(page, 0, PGSIZE);
    show(va, PADDR(page));
}

/*
 * Every PML4 entry that the upper half may ever need exists before the first env copies it: later
 * boot_map calls then change tables that all envs share.
 */
static void reserve_upper_half(void)
{
    boot_table(&kern_pml4[PTX(KERNEL_MMIO, 3)], PTE_W);
}

void mem_init(void)
{
    frame_init(platform_mbi());

    kern_pml4 = boot_alloc(PGSIZE);
    kern_cr3 = PADDR(kern_pml4);
    memset(kern_pml4, 0, PGSIZE);
    frame_each_ram(map_direct);
    map_image(text_start, text_end, 0);
    map_image(rodata_start, data_start, PTE_NX);
    map_image(data_start, kernel_end, PTE_W | PTE_NX);
    guard_stacks();
    reserve_upper_half();
    map_user_info();
    cpu_load_cr3(kern_cr3);
}
