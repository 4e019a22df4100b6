/*
 * The guest's own page tables, read through the second stage: what the CPU's page walk would say
 * about an access (SDM "4-Level Paging", "PAE Paging", "32-Bit Paging", "Access Rights").
 */
#include <inc/mmu.h>
#include <inc/string.h>
#include <kern/cpu.h>
#include <vmm/backend.h>
#include <vmm/code.h>
#include <vmm/gmem.h>
#include <vmm/gwalk.h>
#include <vmm/vcpu.h>

#define PDPTE_RESERVED 0x1e6ul         /* bits 1-2 and 5-8 of a PAE PDPTE */
#define PAE_RESERVED   (0x7fful << 52) /* bits 52-62 of all entries of PAE paging */
#define PAE_CR3_MASK   0xffffffe0ul

/* The form of the tables. It is constant where walk is called, but for `reserved` and
 * `large_pages`, so the compiler unrolls the walk. */
struct TableFormat {
    int levels, entry_size, index_bits;
    uint64_t reserved; /* bits that are zero in each present entry */
    bool large_pages;
};

/* Address bits of an 8-byte entry above the CPU's width, which must be zero. */
static inline uint64_t above_width(void)
{
    return PTE_ADDR(~0ul) & ~0ul << cpu_features.maxphyaddr;
}

/* Address bits below a large page that must be zero; bit 12 is its PAT bit. */
static uint64_t large_page_reserved(int level)
{
    return (1ul << (PGSHIFT + 9 * level)) - (1ul << (PGSHIFT + 1));
}

/* The combined rights of all levels against the access: PTE_W and PTE_U are in `all`, PTE_NX is in
 * `any`. */
static enum WalkResult judge(const struct PagingMode *m, uint64_t all, uint64_t any,
                             uint32_t access)
{
    bool user = access & FEC_U, user_page = all & PTE_U;
    if (user && !user_page)
        return WALK_FORBIDDEN;
    if ((access & FEC_WR) && !(all & PTE_W) && (user || (m->cr0 & CR0_WP)))
        return WALK_FORBIDDEN;
    if ((access & FEC_ID) && (any & PTE_NX))
        return WALK_FORBIDDEN;
    if (!user && user_page && (access & FEC_ID) && (m->cr4 & CR4_SMEP))
        return WALK_FORBIDDEN;
    if (!user && user_page && !(access & FEC_ID) && (m->cr4 & CR4_SMAP) && !(m->rflags & FL_AC))
        return WALK_FORBIDDEN;
    return WALK_OK;
}

/*
 * PSE-36: bits 13 to 20 of an entry for a 4 MiB page are address bits 32 to 39, as far as the CPU
 * has them. Up to bit 21, what is left is reserved (SDM "32-Bit Paging").
 */
#define PSE36_SHIFT  19
#define PSE36_WIDTH  40
#define PSE36_FIELDS 0x3fe000ul

static uint64_t pse36_address_bits(void)
{
    uint32_t width = MIN(cpu_features.maxphyaddr, PSE36_WIDTH);
    return cpu_features.pse36 ? ((1ul << width) - (1ul << 32)) >> PSE36_SHIFT : 0;
}

/* Reserved bits of an entry of this level for a large page, besides those that all entries have. */
static inline uint64_t large_reserved(const struct TableFormat f, int level)
{
    if (f.entry_size == 4)
        return PSE36_FIELDS & ~pse36_address_bits();
    return level == 2 && !cpu_features.page1g ? PTE_PS : large_page_reserved(level);
}

/* Read an aligned entry of 4 or 8 bytes of a table; untouched memory reads as zeroes. false: it is
 * not in RAM. mem_lock is held. */
static inline bool read_entry(struct Vcpu *v, gpa_t gpa, int size, uint64_t *entry)
{
    void *hva;
    if (__builtin_expect(gmem_entry(v->vm, &v->leaf, gpa, &hva) == 0, 0)) {
        *entry = 0;
        return gmem_is_ram(v->vm, gpa, size);
    }
    *entry = size == 8 ? *(const volatile uint64_t *)hva : *(const volatile uint32_t *)hva;
    return true;
}

/* Set flags in an entry as the CPU does: atomically, and only where it still is what the walk has
 * seen. */
static enum WalkResult mark_entry(struct Vcpu *v, gpa_t gpa, int size, uint64_t entry,
                                  uint64_t flags)
{
    void *hva;
    uint64_t e = gmem_entry(v->vm, &v->leaf, gpa, &hva);
    uint32_t low = entry;
    if ((entry & flags) == flags)
        return WALK_OK;
    if (!(e & stage2.write))
        return WALK_UNKNOWN;
    bool done = size == 8
                    ? __atomic_compare_exchange_n((uint64_t *)hva, &entry, entry | flags, false,
                                                  __ATOMIC_RELAXED, __ATOMIC_RELAXED)
                    : __atomic_compare_exchange_n((uint32_t *)hva, &low, low | (uint32_t)flags,
                                                  false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    return done ? WALK_OK : WALK_CHANGED;
}

/* Walk tables of format f from the one that `table`, an entry or CR3, refers to. With mark, which
 * is constant where this is called, set the flags of an access that is allowed. */
static inline __attribute__((always_inline)) enum WalkResult
walk(struct Vcpu *v, const struct PagingMode *m, const struct TableFormat f, uint64_t table,
     uint64_t va, uint32_t access, gpa_t *gpa, bool mark)
{
    uint64_t all = ~0ul, any = 0, high = 0;
    int shift = 0;
#pragma GCC unroll 4
    for (int level = f.levels - 1; level >= 0; level--) {
        shift = PGSHIFT + f.index_bits * level;
        uint64_t entry, index = va >> shift & ((1u << f.index_bits) - 1);
        gpa_t at = PTE_ADDR(table) + index * f.entry_size;
        if (!read_entry(v, at, f.entry_size, &entry))
            return WALK_UNKNOWN; /* tables outside of RAM */
        if (!(entry & PTE_P))
            return WALK_NOT_PRESENT;
        if ((entry & f.reserved) || (level == 3 && (entry & PTE_PS)))
            return WALK_RESERVED;
        bool large = level > 0 && (entry & PTE_PS) && f.large_pages;
        if (mark) {
            bool dirty = (large || level == 0) && (access & FEC_WR);
            enum WalkResult r = mark_entry(v, at, f.entry_size, entry, PTE_A | (dirty ? PTE_D : 0));
            if (r != WALK_OK)
                return r;
        }
        all &= entry;
        any |= entry;
        table = entry;
        if (large) {
            if (entry & large_reserved(f, level))
                return WALK_RESERVED;
            if (f.entry_size == 4)
                high = (entry & pse36_address_bits()) << PSE36_SHIFT;
            break;
        }
    }
    uint64_t page = (1ul << shift) - 1; /* the offset in the page that maps va */
    *gpa = high | (PTE_ADDR(table) & ~page) | (va & page);
    return judge(m, all, any, access);
}

/* The frequent mode, so it costs no call. */
static inline __attribute__((always_inline)) enum WalkResult
walk_4level(struct Vcpu *v, const struct PagingMode *m, uint64_t va, uint32_t access, gpa_t *gpa,
            bool mark)
{
    const struct TableFormat format = {
        .levels = 4,
        .entry_size = 8,
        .index_bits = 9,
        .reserved = above_width() | (m->efer & EFER_NXE ? 0 : PTE_NX),
        .large_pages = true,
    };
    return walk(v, m, format, m->cr3, va, access, gpa, mark);
}

/* The CPU walks from the PDPTEs that it loaded with CR3. What 4-level paging ignores must be zero
 * here. */
static enum WalkResult walk_pae(struct Vcpu *v, const struct PagingMode *m, uint64_t va,
                                uint32_t access, gpa_t *gpa, bool mark)
{
    const struct TableFormat format = {
        .levels = 2,
        .entry_size = 8,
        .index_bits = 9,
        .reserved = above_width() | PAE_RESERVED | (m->efer & EFER_NXE ? 0 : PTE_NX),
        .large_pages = true,
    };
    uint64_t pdpte = m->pdpte[(va >> 30) & (PAE_PDPTES - 1)];
    if (!(pdpte & PTE_P))
        return WALK_NOT_PRESENT;
    return walk(v, m, format, pdpte, va, access, gpa, mark);
}

static enum WalkResult walk_32bit(struct Vcpu *v, const struct PagingMode *m, uint64_t va,
                                  uint32_t access, gpa_t *gpa, bool mark)
{
    const struct TableFormat format = {
        .levels = 2,
        .entry_size = 4,
        .index_bits = 10,
        .large_pages = m->cr4 & CR4_PSE,
    };
    return walk(v, m, format, m->cr3, va, access, gpa, mark);
}

static inline __attribute__((always_inline)) enum WalkResult
locked_walk(struct Vcpu *v, const struct PagingMode *m, uint64_t va, uint32_t access, gpa_t *gpa,
            bool mark)
{
    enum WalkResult r = WALK_OK;
    spin_lock(&v->vm->mem_lock);
    if (m->efer & EFER_LMA)
        r = walk_4level(v, m, va, access, gpa, mark);
    else if (m->cr0 & CR0_PG)
        r = (m->cr4 & CR4_PAE ? walk_pae : walk_32bit)(v, m, va, access, gpa, mark);
    else
        *gpa = va;
    spin_unlock(&v->vm->mem_lock);
    return r;
}

enum WalkResult guest_walk(struct Vcpu *v, const struct PagingMode *m, uint64_t va, uint32_t access,
                           gpa_t *gpa)
{
    return locked_walk(v, m, va, access, gpa, false);
}

enum WalkResult guest_mark_access(struct Vcpu *v, const struct PagingMode *m, uint64_t va,
                                  uint32_t access)
{
    gpa_t gpa;
    return locked_walk(v, m, va, access, &gpa, true);
}

uint32_t guest_fault_error(enum WalkResult r, uint32_t access)
{
    return access | (r == WALK_NOT_PRESENT ? 0 : FEC_PR) | (r == WALK_RESERVED ? FEC_RSVD : 0);
}

bool guest_read_pdptes(struct Vcpu *v, uint64_t cr3, uint64_t pdpte[PAE_PDPTES])
{
    uint64_t reserved = PDPTE_RESERVED | PAE_RESERVED | PTE_NX | above_width();
    if (gmem_peek(v->vm, cr3 & PAE_CR3_MASK, pdpte, PAE_PDPTES * sizeof(pdpte[0])) < 0)
        return false;
    for (int i = 0; i < PAE_PDPTES; i++)
        if ((pdpte[i] & PTE_P) && (pdpte[i] & reserved))
            return false;
    return true;
}

bool guest_fetch(struct Vcpu *v, const struct PagingMode *m, uint64_t va, uint8_t *byte)
{
    gpa_t gpa;
    enum WalkResult r = guest_walk(v, m, va, 0, &gpa);
    return (r == WALK_OK || r == WALK_FORBIDDEN) && gmem_peek(v->vm, gpa, byte, 1) == 0;
}

/* The bytes from va to the end of its page, n at most. */
static uint32_t fetch_piece(struct Vcpu *v, const struct PagingMode *m, uint64_t va, uint8_t *buf,
                            uint32_t n)
{
    gpa_t gpa;
    enum WalkResult r = guest_walk(v, m, va, 0, &gpa);
    n = MIN(n, (uint32_t)(PGSIZE - PGOFF(va)));
    bool found = (r == WALK_OK || r == WALK_FORBIDDEN) && gmem_peek(v->vm, gpa, buf, n) == 0;
    return found ? n : 0;
}

uint32_t guest_fetch_code(struct Vcpu *v, const struct PagingMode *m, uint64_t va, bool wide,
                          uint8_t *buf, uint32_t n)
{
    uint32_t done = fetch_piece(v, m, va, buf, n);
    if (done == n || done == 0)
        return done;
    va += done;
    return done + fetch_piece(v, m, wide ? va : (uint32_t)va, buf + done, n - done);
}

/* The same way as walk_4level, but without its judgement: the CPU has executed what is there. */
static bool find_code(struct Vcpu *v, struct CodePlace *c)
{
    uint64_t table = c->cr3;
    void *hva;
    for (int level = CODE_LEVELS - 1; level >= 0; level--) {
        if (gmem_entry(v->vm, &v->leaf, PTE_ADDR(table) + PTX(c->va, level) * 8, &hva) == 0)
            return false;
        table = *(const volatile uint64_t *)hva;
        for (int below = level; below >= 0; below--) {
            c->entry[below] = hva;
            c->seen[below] = table;
        }
        uint64_t page = (1ul << (PGSHIFT + 9 * level)) - 1;
        if (!(table & PTE_P) || (level > 0 && !(table & PTE_PS)))
            continue;
        gpa_t gpa = (PTE_ADDR(table) & ~page) | (c->va & page);
        if (gmem_entry(v->vm, &v->leaf, gpa, &hva) == 0)
            return false;
        c->bytes = hva;
        memcpy(c->code, hva, CODE_BYTES);
        return true;
    }
    return false;
}

bool guest_find_code(struct Vcpu *v, uint64_t va, uint64_t cr3, struct CodePlace *c)
{
    c->va = va;
    c->cr3 = cr3;
    spin_lock(&v->vm->mem_lock);
    c->valid = PGOFF(va) <= PGSIZE - CODE_BYTES && find_code(v, c);
    spin_unlock(&v->vm->mem_lock);
    return c->valid;
}
