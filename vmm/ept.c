/*
 * Extended page tables: guest physical to host physical, four levels, pages of 4 KiB and (where the
 * CPU has them) of 2 MiB, which an entry of level 1 maps; write-back memory whatever the guest asks
 * for, since the host has the same frames mapped write-back (SDM "The Extended Page Table Mechanism
 * (EPT)"). An entry holds a reference on each frame it maps. When an entry shrinks, the guest's
 * next entry is preceded by INVEPT, and so is its first entry on another CPU; a guest has one vCPU,
 * so only one CPU uses its tables at a time.
 *
 *      gpa  47      39 38      30 29      21 20      12 11       0
 *          | level 3  | level 2  | level 1  | level 0  |  offset  |
 */
#include <vmm/internal.h>
#include <kern/ipi.h>

#define EPT_TOP_LEVEL 3
/* LAB C cut */
#define LARGE_LEVEL 1
/* LAB C end */

/* An EPT table is a frame with one reference, held by the entry above it. */
static uint64_t *new_table(struct Guest *g)
{
    struct PageInfo *pp = page_alloc(ALLOC_ZERO);
    if (pp == NULL)
        return NULL;
    page_incref(pp);
    g->stats.ept_pages++;
    return page2kva(pp);
}

int ept_init(struct Guest *g)
{
    g->ept = new_table(g);
    if (g->ept == NULL)
        return -E_NO_MEM;
    g->ept_leaf.region = NO_REGION;
    g->eptp = PADDR(g->ept) | EPTP_MT_WB | EPTP_WALK4;
    return 0;
}

uint64_t ept_rights(uint64_t perm)
{
    return EPTE_R | (perm & PTE_W ? EPTE_W : 0) | (perm & PTE_NX ? 0 : EPTE_X);
}

/* Remember that this table of level 0, or with `large` this entry of level 1, maps gpa. */
static void remember(struct Guest *g, gpa_t gpa, uint64_t *entries, bool large)
{
    g->ept_leaf = (struct EptLeaf){
        .region = LEAF_REGION(gpa),
        .entries = entries,
        .index = large ? 0 : NPTENTRIES - 1,
        .offset = (large ? PGSIZE_2M : PGSIZE) - 1,
    };
}

int ept_lookup_gpa(struct Guest *g, gpa_t gpa, bool create, uint64_t **entry)
{
    if (LEAF_REGION(gpa) == g->ept_leaf.region) {
        *entry = &g->ept_leaf.entries[gpa >> PGSHIFT & g->ept_leaf.index];
        return 0;
    }
    uint64_t *table = g->ept;
    /* LAB 2 begin: ept_lookup_gpa */
    if (gpa >> EPT_GPA_BITS != 0)
        return -E_INVAL;
    for (int level = EPT_TOP_LEVEL; level > 0; level--) {
        uint64_t *e = &table[PTX(gpa, level)];
        if (*e & EPTE_LARGE) {
            remember(g, gpa, e, true);
            *entry = e;
            return 0;
        }
        if (*e == 0) {
            if (!create)
                return -E_NOT_FOUND;
            uint64_t *next = new_table(g);
            if (next == NULL)
                return -E_NO_MEM;
            *e = PADDR(next) | EPTE_RWX;
        }
        table = KADDR(PTE_ADDR(*e));
    }
    /* LAB 2 end */
    remember(g, gpa, table, false);
    *entry = &table[PTX(gpa, 0)];
    return 0;
}

/* Translations of g have shrunk: no CPU may use the old ones when this returns. One that runs g is
 * made to leave it, and one that enters it later flushes first. */
static void flush(struct Guest *g)
{
    guest_attn(g, ATTN_EPT_FLUSH);
    if (g->env != NULL && g->env != curenv && env_has_cpu(g->env))
        cpu_flush_remote(&cpus[READ_ONCE(g->env->env_cpunum)]);
}

/* LAB C cut */
/* The entry of level 1 for gpa, and the tables down to it. NULL: no memory. mem_lock is held. */
static uint64_t *large_entry(struct Guest *g, gpa_t gpa)
{
    uint64_t *table = g->ept;
    for (int level = EPT_TOP_LEVEL; level > LARGE_LEVEL; level--) {
        uint64_t *e = &table[PTX(gpa, level)];
        uint64_t *next = *e != 0 ? KADDR(PTE_ADDR(*e)) : new_table(g);
        if (next == NULL)
            return NULL;
        if (*e == 0)
            *e = PADDR(next) | EPTE_RWX;
        table = next;
    }
    return &table[PTX(gpa, LARGE_LEVEL)];
}
/* LAB C end */

int ept_map_large(struct Guest *g, void *hva, gpa_t gpa, uint64_t rights)
{
    /* LAB C begin: ept_map_large */
    if ((gpa | PADDR(hva)) % PGSIZE_2M != 0 || gpa >> EPT_GPA_BITS != 0 || !(rights & EPTE_R))
        return -E_INVAL;
    if (!(vmx_caps.ept_vpid & EPT_CAP_2M))
        return -E_NOT_SUPP;
    int r = 0;
    spin_lock(&g->mem_lock);
    uint64_t *e = large_entry(g, gpa);
    if (e == NULL) {
        r = -E_NO_MEM;
    } else if (*e != 0) {
        r = -E_BUSY;
    } else {
        *e = PADDR(hva) | rights | EPTE_MT_WB | EPTE_IPAT | EPTE_LARGE;
        g->stats.pages += RUN_FRAMES;
        g->stats.large_pages++;
    }
    spin_unlock(&g->mem_lock);
    return r;
    /* LAB C end */
}

/* Replace the large page around gpa, whose entry is *entry, by pages of 4 KiB that map the same,
 * and find the entry of gpa. -E_NO_MEM. mem_lock is held. */
static int split_large(struct Guest *g, gpa_t gpa, uint64_t **entry)
{
    uint64_t *table = new_table(g);
    if (table == NULL)
        return -E_NO_MEM;
    for (size_t i = 0; i < NPTENTRIES; i++)
        table[i] = (**entry & ~EPTE_LARGE) + i * PGSIZE;
    **entry = PADDR(table) | EPTE_RWX;
    g->stats.large_pages--;
    remember(g, gpa, table, false);
    *entry = &table[PTX(gpa, 0)];
    flush(g);
    return 0;
}

/* Put a frame into an entry; mem_lock is held. */
static int set_entry(struct Guest *g, struct PageInfo *pp, gpa_t gpa, uint64_t rights,
                     bool overwrite)
{
    /* LAB 2 begin: ept_map_hva2gpa */
    if (PGOFF(gpa) != 0 || !(rights & EPTE_R))
        return -E_INVAL;
    uint64_t *e;
    int r = ept_lookup_gpa(g, gpa, true, &e);
    if (r < 0)
        return r;
    if (*e != 0 && !overwrite)
        return -E_BUSY;
    if ((*e & EPTE_LARGE) && (r = split_large(g, gpa, &e)) < 0)
        return r;
    uint64_t old = *e;
    page_incref(pp);
    *e = page2pa(pp) | rights | EPTE_MT_WB | EPTE_IPAT;
    if (old == 0) {
        g->stats.pages++;
        return 0;
    }
    if (PTE_ADDR(old) != page2pa(pp) || (old & ~rights & EPTE_RWX))
        flush(g);
    page_decref(pa2page(PTE_ADDR(old)));
    return 0;
    /* LAB 2 end */
}

int ept_map_hva2gpa(struct Guest *g, void *hva, gpa_t gpa, uint64_t rights, bool overwrite)
{
    spin_lock(&g->mem_lock);
    int r = set_entry(g, pa2page(PADDR(hva)), gpa, rights, overwrite);
    spin_unlock(&g->mem_lock);
    return r;
}

int ept_page_insert(struct Guest *g, struct PageInfo *pp, gpa_t gpa, uint64_t rights)
{
    return ept_map_hva2gpa(g, page2kva(pp), gpa, rights, true);
}

uint64_t ept_entry_elsewhere(struct Guest *g, gpa_t gpa)
{
    uint64_t *e;
    return ept_lookup_gpa(g, gpa, false, &e) == 0 ? *e : 0;
}

void *ept_gpa2hva(struct Guest *g, gpa_t gpa, uint64_t *rights)
{
    uint64_t e = ept_entry(g, gpa);
    if (e == 0)
        return NULL;
    if (rights != NULL)
        *rights = e & EPTE_RWX;
    return ept_hva(g, e, gpa);
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
    page_decref(pa2page(PADDR(table)));
}

void ept_free(struct Guest *g)
{
    if (g->ept != NULL)
        free_table(g->ept, EPT_TOP_LEVEL);
    g->ept = NULL;
    g->ept_leaf.region = NO_REGION;
}
