/*
 * The guest's own page tables, read through the EPT: what the CPU's page walk would say about an
 * access (SDM "4-Level Paging", "PAE Paging", "32-Bit Paging", "Access Rights").
 */
#include <vmm/internal.h>

#define PDPTE_RESERVED 0x1e6ul         /* bits 1-2 and 5-8 of a PAE PDPTE */
#define PAE_RESERVED   (0x7fful << 52) /* bits 52-62 of all entries of PAE paging */
#define PAE_CR3_MASK   0xffffffe0ul
#define PAE_PDPTES     4

struct PagingMode paging_mode(void)
{
    uint64_t cr0 = vmread(VMCS_GUEST_CR0), cr4 = vmread(VMCS_GUEST_CR4);
    uint64_t efer = vmread(VMCS_GUEST_EFER);
    bool pae = cr4 & CR4_PAE;
    struct PagingMode m = {
        .levels = efer & EFER_LMA ? 4 : 2,
        .entry_size = pae ? 8 : 4,
        .index_bits = pae ? 9 : 10,
        .pae_tops = pae && !(efer & EFER_LMA),
        .nx = pae && (efer & EFER_NXE),
        .paging = cr0 & CR0_PG,
        .wp = cr0 & CR0_WP,
        .smep = cr4 & CR4_SMEP,
        .smap = (cr4 & CR4_SMAP) && !(vmread(VMCS_GUEST_RFLAGS) & FL_AC),
        .pse = pae || (cr4 & CR4_PSE),
        .cr3 = vmread(VMCS_GUEST_CR3),
    };
    for (int i = 0; m.pae_tops && i < PAE_PDPTES; i++)
        m.pdpte[i] = vmread(VMCS_GUEST_PDPTE0 + 2 * i);
    return m;
}

/* Address bits of an 8-byte entry above the CPU's width, which must be zero. */
static uint64_t above_width(void)
{
    return PTE_ADDR(~0ul) & ~((1ul << cpu_features.maxphyaddr) - 1);
}

/* Bits of an entry that must be zero: the address above the CPU's width, NX while it is off, and
 * with PAE paging what 4-level paging ignores. */
static uint64_t reserved_bits(const struct PagingMode *m)
{
    if (m->entry_size == 4)
        return 0;
    return above_width() | (m->nx ? 0 : PTE_NX) | (m->pae_tops ? PAE_RESERVED : 0);
}

/* Address bits below a large page that must be zero; bit 12 is its PAT bit. */
static uint64_t large_page_reserved(int level)
{
    return (1ul << (PGSHIFT + 9 * level)) - (1ul << (PGSHIFT + 1));
}

/* The combined rights of all levels against the access. rights has PTE_W, PTE_U and PTE_NX. */
static enum WalkResult judge(const struct PagingMode *m, uint64_t rights, uint32_t access)
{
    bool user = access & FEC_U, user_page = rights & PTE_U;
    if (user && !user_page)
        return WALK_FORBIDDEN;
    if ((access & FEC_WR) && !(rights & PTE_W) && (user || m->wp))
        return WALK_FORBIDDEN;
    if ((access & FEC_ID) && (rights & PTE_NX))
        return WALK_FORBIDDEN;
    if (!user && user_page && (access & FEC_ID) && m->smep)
        return WALK_FORBIDDEN;
    if (!user && user_page && !(access & FEC_ID) && m->smap)
        return WALK_FORBIDDEN;
    return WALK_OK;
}

enum WalkResult guest_walk(struct Guest *g, uint64_t va, uint32_t access, gpa_t *gpa)
{
    struct PagingMode m = paging_mode();
    return guest_walk_in(g, &m, va, access, gpa);
}

enum WalkResult guest_walk_in(struct Guest *g, const struct PagingMode *m, uint64_t va,
                              uint32_t access, gpa_t *gpa)
{
    uint64_t reserved = reserved_bits(m);
    uint64_t rights = PTE_W | PTE_U;
    uint64_t page = (1ul << PGSHIFT) - 1; /* the offset in the page that maps va */
    gpa_t table = m->cr3;
    if (!m->paging) {
        *gpa = va;
        return WALK_OK;
    }
    if (m->pae_tops) { /* the CPU walks from the PDPTEs it loaded with CR3 */
        table = m->pdpte[(va >> 30) & (PAE_PDPTES - 1)];
        if (!(table & PTE_P))
            return WALK_NOT_PRESENT;
    }
    table = PTE_ADDR(table);
    for (int level = m->levels - 1; level >= 0; level--) {
        uint64_t entry = 0;
        int shift = PGSHIFT + m->index_bits * level;
        uint64_t index = va >> shift & ((1u << m->index_bits) - 1);
        if (gmem_entry(g, table + index * m->entry_size, m->entry_size, &entry) < 0)
            return WALK_UNKNOWN; /* tables outside of RAM */
        if (!(entry & PTE_P))
            return WALK_NOT_PRESENT;
        if ((entry & reserved) || (level == 3 && (entry & PTE_PS)))
            return WALK_RESERVED;
        rights &= entry | ~(uint64_t)(PTE_W | PTE_U);
        rights |= entry & PTE_NX;
        table = PTE_ADDR(entry);
        if (level > 0 && (entry & PTE_PS) && m->pse) {
            if (m->entry_size == 8 && (entry & large_page_reserved(level)))
                return WALK_RESERVED;
            page = (1ul << shift) - 1;
            break;
        }
    }
    *gpa = (table & ~page) | (va & page);
    return judge(m, rights, access);
}

bool guest_load_pdptes(struct Guest *g, uint64_t cr3)
{
    uint64_t pdpte[PAE_PDPTES];
    uint64_t reserved = PDPTE_RESERVED | PAE_RESERVED | PTE_NX | above_width();
    if (gmem_peek(g, cr3 & PAE_CR3_MASK, pdpte, sizeof pdpte) < 0)
        return false;
    for (int i = 0; i < PAE_PDPTES; i++)
        if ((pdpte[i] & PTE_P) && (pdpte[i] & reserved))
            return false;
    for (int i = 0; i < PAE_PDPTES; i++)
        vmwrite(VMCS_GUEST_PDPTE0 + 2 * i, pdpte[i]);
    return true;
}
