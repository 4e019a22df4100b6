/*
 * The second stage: guest physical to host physical, four levels, pages of 4 KiB and (where the CPU
 * has them) of 2 MiB, which an entry of level 1 maps; write-back memory whatever the guest asks
 * for, since the host has the same frames mapped write-back. Intel calls the tables EPT (SDM "The
 * Extended Page Table Mechanism (EPT)"), AMD nested page tables (APM 2 "Nested Paging"); they
 * differ in the bits of an entry, which the back end has set out in stage2. An entry holds a
 * reference on each frame it maps. When an entry shrinks, each vCPU flushes before its next entry,
 * and so it does before its first entry on another CPU.
 *
 *      gpa  47      39 38      30 29      21 20      12 11       0
 *          | level 3  | level 2  | level 1  | level 0  |  offset  |
 */
#include <kern/sched.h>
#include <kern/ipi.h>
#include <inc/error.h>
#include <kern/cpu.h>
#include <kern/pmap.h>
#include <vmm/backend.h>
#include <vmm/ept.h>
#include <vmm/vcpu.h>

#define EPT_TOP_LEVEL 3
/* LAB C cut */
#define LARGE_LEVEL 1
/* LAB C end */

/* A table is a frame with one reference, held by the entry above it. */
static uint64_t *new_table(struct Vm *vm)
{
    uint64_t *table = page_new();
    if (table)
        vm->stats.table_pages++;
    return table;
}

int ept_init(struct Vm *vm)
{
    vm->tables = new_table(vm);
    return vm->tables ? 0 : -E_NO_MEM;
}

uint32_t ept_rights(uint64_t perm)
{
    return GUEST_READ | (perm & PTE_W ? GUEST_WRITE : 0) | (perm & PTE_NX ? 0 : GUEST_FETCH);
}

/* A hidden entry maps nothing, since the bits that say what it allows are clear; the rest of it the
 * CPU does not look at (SDM "EPT Translation Mechanism"; APM 2 "Page-Translation Table Entry
 * Fields"). So it holds the frame's address, its rights, and a mark. */
#define EPTE_HIDDEN  (1ul << 11)
#define HIDDEN_SHIFT 4

static bool is_hidden(uint64_t entry)
{
    return entry & EPTE_HIDDEN;
}

static uint64_t hidden_entry(uint64_t pa, uint32_t rights)
{
    return pa | EPTE_HIDDEN | rights << HIDDEN_SHIFT;
}

uint32_t ept_entry_rights(uint64_t entry)
{
    if (!entry)
        return 0;
    if (is_hidden(entry))
        return entry >> HIDDEN_SHIFT & GUEST_RWX;
    bool fetch = (entry ^ stage2.fetch_flip) & stage2.fetch;
    return GUEST_READ | (entry & stage2.write ? GUEST_WRITE : 0) | (fetch ? GUEST_FETCH : 0);
}

int ept_lookup_gpa(struct Vm *vm, gpa_t gpa, bool create, uint64_t **entry)
{
    /* LAB 2 begin: ept_lookup_gpa */
    uint64_t *table = vm->tables;
    if (gpa >> EPT_GPA_BITS != 0)
        return -E_INVAL;
    for (int level = EPT_TOP_LEVEL; level > 0; level--) {
        uint64_t *e = &table[PTX(gpa, level)];
        if (*e & EPTE_LARGE) {
            *entry = e;
            return 0;
        }
        if (*e == 0) {
            if (!create)
                return -E_NOT_FOUND;
            uint64_t *next = new_table(vm);
            if (!next)
                return -E_NO_MEM;
            *e = PADDR(next) | stage2.table;
        }
        table = KADDR(PTE_ADDR(*e));
    }
    *entry = &table[PTX(gpa, 0)];
    return 0;
    /* LAB 2 end */
}

/* Translations have shrunk: no CPU may use the old ones when this returns. One that runs the guest
 * is made to leave it, and one that enters it later flushes first. */
static void flush(struct Vm *vm)
{
    for (uint32_t i = 0; i < ARRAY_SIZE(vm->vcpus) && vm->vcpus[i]; i++) {
        struct Vcpu *v = vm->vcpus[i];
        for (int n = 0; n < NAPIC_SITES; n++)
            v->apic_sites[n].place.valid = false;
        vcpu_attn(v, ATTN_STAGE2_FLUSH);
        if (v->env && v->env != curenv && env_has_cpu(v->env))
            cpu_flush_remote(&cpus[READ_ONCE(v->env->env_cpunum)]);
    }
}

/* LAB C cut */
/* The entry of level 1 for gpa, and the tables down to it. NULL: no memory. mem_lock is held. */
static uint64_t *large_entry(struct Vm *vm, gpa_t gpa)
{
    uint64_t *table = vm->tables;
    for (int level = EPT_TOP_LEVEL; level > LARGE_LEVEL; level--) {
        uint64_t *e = &table[PTX(gpa, level)];
        uint64_t *next = *e != 0 ? KADDR(PTE_ADDR(*e)) : new_table(vm);
        if (!next)
            return NULL;
        if (*e == 0)
            *e = PADDR(next) | stage2.table;
        table = next;
    }
    return &table[PTX(gpa, LARGE_LEVEL)];
}
/* LAB C end */

int ept_map_large(struct Vm *vm, void *hva, gpa_t gpa, uint32_t rights)
{
    /* LAB C begin: ept_map_large */
    if ((gpa | PADDR(hva)) % PGSIZE_2M != 0 || gpa >> EPT_GPA_BITS != 0 || !(rights & GUEST_READ))
        return -E_INVAL;
    if (!stage2.has_large)
        return -E_NOT_SUPP;
    int r = 0;
    spin_lock(&vm->mem_lock);
    uint64_t *e = large_entry(vm, gpa);
    if (!e) {
        r = -E_NO_MEM;
    } else if (*e != 0) {
        r = -E_BUSY;
    } else {
        *e = PADDR(hva) | stage2.rights[rights] | EPTE_LARGE;
        vm->stats.pages += RUN_FRAMES;
        vm->stats.large_pages++;
    }
    spin_unlock(&vm->mem_lock);
    return r;
    /* LAB C end */
}

/* The caches of the last leaf may have the entry of a page that was large. */
static void forget_leaves(struct Vm *vm)
{
    for (uint32_t i = 0; i < ARRAY_SIZE(vm->vcpus) && vm->vcpus[i]; i++)
        vm->vcpus[i]->leaf.region = NO_REGION;
}

/* Replace the large page around gpa, whose entry is *entry, by pages of 4 KiB that map the same,
 * and find the entry of gpa. -E_NO_MEM. mem_lock is held. */
static int split_large(struct Vm *vm, gpa_t gpa, uint64_t **entry)
{
    uint64_t *table = new_table(vm);
    if (!table)
        return -E_NO_MEM;
    /* No reference changes hands: each frame of a run has its own, which moves to the small entry.
     */
    for (size_t i = 0; i < NPTENTRIES; i++)
        table[i] = (**entry & ~EPTE_LARGE) + i * PGSIZE;
    **entry = PADDR(table) | stage2.table;
    vm->stats.large_pages--;
    *entry = &table[PTX(gpa, 0)];
    forget_leaves(vm);
    flush(vm);
    return 0;
}

void ept_fill(struct Vm *vm, uint64_t *entry, struct PageInfo *pp, uint32_t rights)
{
    page_incref(pp);
    *entry = page2pa(pp) | stage2.rights[rights];
    vm->stats.pages++;
}

/* A gpa may have another frame, or fewer rights: the monitor, too, may not go on with what was
 * there. */
static void tell_replaced(struct Vm *vm)
{
    for (uint32_t i = 0; i < VM_NVCPUS && vm->vcpus[i]; i++) {
        struct Vcpu *v = vm->vcpus[i];
        v->exit.replaced++;
        if (v->shared)
            WRITE_ONCE(v->shared->replaced, v->exit.replaced);
    }
}

/* Put a frame into an entry; mem_lock is held. */
static int set_entry(struct Vm *vm, struct PageInfo *pp, gpa_t gpa, uint32_t rights, bool overwrite)
{
    /* LAB 2 begin: ept_map_hva2gpa */
    if (PGOFF(gpa) != 0 || !(rights & GUEST_READ))
        return -E_INVAL;
    uint64_t *e;
    int r = ept_lookup_gpa(vm, gpa, true, &e);
    if (r < 0)
        return r;
    if (*e != 0 && !overwrite)
        return -E_BUSY;
    if ((*e & EPTE_LARGE) && (r = split_large(vm, gpa, &e)) < 0)
        return r;
    uint64_t old = *e;
    page_incref(pp);
    *e = is_hidden(old) ? hidden_entry(page2pa(pp), rights) : page2pa(pp) | stage2.rights[rights];
    if (old == 0) {
        vm->stats.pages++;
        return 0;
    }
    if (PTE_ADDR(old) != page2pa(pp) || (ept_entry_rights(old) & ~rights))
        flush(vm);
    page_decref(pa2page(PTE_ADDR(old)));
    return 0;
    /* LAB 2 end */
}

int ept_map_hva2gpa(struct Vm *vm, void *hva, gpa_t gpa, uint32_t rights, bool overwrite)
{
    spin_lock(&vm->mem_lock);
    int r = set_entry(vm, pa2page(PADDR(hva)), gpa, rights, overwrite);
    if (r == 0 && overwrite)
        tell_replaced(vm);
    spin_unlock(&vm->mem_lock);
    return r;
}

int ept_hide(struct Vm *vm, gpa_t gpa, bool hide)
{
    uint64_t *e;
    spin_lock(&vm->mem_lock);
    int r = ept_lookup_gpa(vm, gpa, false, &e);
    if (r == 0 && (*e & EPTE_LARGE))
        r = split_large(vm, gpa, &e);
    if (r == 0) {
        uint32_t rights = ept_entry_rights(*e);
        uint64_t pa = PTE_ADDR(*e);
        *e = hide ? hidden_entry(pa, rights) : pa | stage2.rights[rights];
        flush(vm);
    }
    spin_unlock(&vm->mem_lock);
    return r;
}

int ept_page_insert(struct Vm *vm, struct PageInfo *pp, gpa_t gpa, uint32_t rights)
{
    return ept_map_hva2gpa(vm, page2kva(pp), gpa, rights, true);
}

void *ept_gpa2hva(struct Vm *vm, gpa_t gpa, uint32_t *rights)
{
    uint64_t *e;
    if (ept_lookup_gpa(vm, gpa, false, &e) < 0 || *e == 0)
        return NULL;
    if (rights)
        *rights = ept_entry_rights(*e);
    return (char *)KADDR(PTE_ADDR(*e)) + gpa % (*e & EPTE_LARGE ? PGSIZE_2M : PGSIZE);
}

/* Drop a table and what it refers to: other tables, or guest memory. */
static void free_table(uint64_t *table, int level)
{
    for (int i = 0; i < NPTENTRIES; i++) {
        if (table[i] == 0)
            continue;
        if (table[i] & EPTE_LARGE)
            page_run_decref(pa2page(PTE_ADDR(table[i])));
        else if (level > 0)
            free_table(KADDR(PTE_ADDR(table[i])), level - 1);
        else
            page_decref(pa2page(PTE_ADDR(table[i])));
    }
    page_drop(table);
}

void ept_free(struct Vm *vm)
{
    if (vm->tables)
        free_table(vm->tables, EPT_TOP_LEVEL);
    vm->tables = NULL;
}
