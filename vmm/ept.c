/*
 * Extended page tables: guest physical to host physical, four levels, 4 KiB pages, write-back
 * memory whatever the guest asks for, since the host has the same frames mapped write-back (SDM
 * "The Extended Page Table Mechanism (EPT)"). An entry holds a reference on its frame.
 * When an entry shrinks, the guest's next entry is preceded by INVEPT, and so is its first entry on
 * another CPU; a guest has one vCPU, so only one CPU uses its tables at a time.
 *
 *      gpa  47      39 38      30 29      21 20      12 11       0
 *          | level 3  | level 2  | level 1  | level 0  |  offset  |
 */
#include <vmm/internal.h>

#define EPT_TOP_LEVEL 3

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
    g->ept_leaf_region = NO_REGION;
    g->eptp = PADDR(g->ept) | EPTP_MT_WB | EPTP_WALK4;
    return 0;
}

uint64_t ept_rights(uint64_t perm)
{
    return EPTE_R | (perm & PTE_W ? EPTE_W : 0) | (perm & PTE_NX ? 0 : EPTE_X);
}

int ept_lookup_gpa(struct Guest *g, gpa_t gpa, bool create, uint64_t **entry)
{
    if (LEAF_REGION(gpa) == g->ept_leaf_region) {
        *entry = &g->ept_leaf[PTX(gpa, 0)];
        return 0;
    }
    uint64_t *table = g->ept;
    /* LAB 2 begin: ept_lookup_gpa */
    if (gpa >> EPT_GPA_BITS != 0)
        return -E_INVAL;
    for (int level = EPT_TOP_LEVEL; level > 0; level--) {
        uint64_t *e = &table[PTX(gpa, level)];
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
    g->ept_leaf = table;
    g->ept_leaf_region = LEAF_REGION(gpa);
    *entry = &table[PTX(gpa, 0)];
    return 0;
}

/* Translations of g have shrunk: no CPU may use the old ones when this returns. One that runs g is
 * made to leave it, and one that enters it later flushes first. */
static void flush(struct Guest *g)
{
    guest_attn(g, ATTN_EPT_FLUSH);
    if (g->env != NULL && g->env != curenv && env_on_cpu(g->env))
        cpu_flush_remote(&cpus[g->env->env_cpunum]);
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
    uint64_t old = *e;
    if (old != 0 && !overwrite)
        return -E_BUSY;
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

uint64_t *ept_find_elsewhere(struct Guest *g, gpa_t gpa)
{
    uint64_t *e;
    return ept_lookup_gpa(g, gpa, false, &e) == 0 && *e != 0 ? e : NULL;
}

void *ept_gpa2hva(struct Guest *g, gpa_t gpa, uint64_t *rights)
{
    const uint64_t *e = ept_find(g, gpa);
    if (e == NULL)
        return NULL;
    if (rights != NULL)
        *rights = *e & EPTE_RWX;
    return ept_hva(*e, gpa);
}

/* Drop a table and what it refers to; level 0 refers to guest memory. */
static void free_table(uint64_t *table, int level)
{
    for (int i = 0; i < NPTENTRIES; i++) {
        if (table[i] == 0)
            continue;
        if (level > 0)
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
    g->ept_leaf_region = NO_REGION;
}
