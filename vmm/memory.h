/*
 * Guest memory: the extended page tables, the one way from a guest-physical address to a host
 * address, and the guest's own page tables. vmm/internal.h includes this behind struct Guest.
 */
#ifndef JOS_VMM_MEMORY_H
#define JOS_VMM_MEMORY_H

/* ---- ept.c: entries are found and changed under mem_lock ---- */
#define EPT_GPA_BITS 48 /* what four levels translate */
/* The EPT entry that maps gpa in *entry: of a 4 KiB page, or of a large page (EPTE_LARGE). With
 * create, missing tables are allocated. -E_NO_MEM; -E_NOT_FOUND: no table, and !create; -E_INVAL:
 * gpa has more than EPT_GPA_BITS. */
int ept_lookup_gpa(struct Guest *g, gpa_t gpa, bool create, uint64_t **entry);
#define NO_REGION        (~0ul)
#define LEAF_REGION(gpa) ((gpa) / PGSIZE_2M)
/* Map the page at hva (kernel direct map) at gpa with EPTE_* rights. Takes a reference on the
 * frame, drops the one on what was mapped; a large page there is split. With !overwrite, -E_BUSY if
 * something is mapped. -E_NO_MEM. -E_INVAL: gpa is in the midst of a page or has more than
 * EPT_GPA_BITS, or the rights are without EPTE_R (SDM "EPT Misconfigurations"). */
int ept_map_hva2gpa(struct Guest *g, void *hva, gpa_t gpa, uint64_t rights, bool overwrite);
/* Map the 2 MiB at hva (kernel direct map), which are a run of frames, at gpa by one entry; both
 * are aligned to 2 MiB. The mapping takes over a reference on each frame of the run, which the
 * caller has, and counts as RUN_FRAMES in stats.pages and 1 in stats.large_pages; on an error
 * nothing has changed. -E_NOT_SUPP: this CPU has no such pages. -E_BUSY: some of these gpas have,
 * or had, pages of 4 KiB, or a large one. -E_NO_MEM. -E_INVAL: gpa or hva is in the midst of a
 * large page, gpa has more than EPT_GPA_BITS, or the rights are without EPTE_R. */
int ept_map_large(struct Guest *g, void *hva, gpa_t gpa, uint64_t rights);
/* The host address of gpa and the rights of its page, or NULL if nothing is mapped. */
void *ept_gpa2hva(struct Guest *g, gpa_t gpa, uint64_t *rights);
/* The entry that maps gpa, or 0, with ept_leaf describing it; quick where gpa is in the 2 MiB that
 * were looked up last. */
uint64_t ept_entry_elsewhere(struct Guest *g, gpa_t gpa);
static inline uint64_t ept_entry(struct Guest *g, gpa_t gpa)
{
    const struct EptLeaf *leaf = &g->ept_leaf;
    if (__builtin_expect(LEAF_REGION(gpa) != leaf->region, 0))
        return ept_entry_elsewhere(g, gpa);
    return leaf->entries[gpa >> PGSHIFT & leaf->index];
}
/* The host address of gpa by its entry, found right before. */
static inline void *ept_hva(const struct Guest *g, uint64_t entry, gpa_t gpa)
{
    return (char *)KADDR(PTE_ADDR(entry)) + (gpa & g->ept_leaf.offset);
}
/* ept_map_hva2gpa of a frame, replacing what was there. */
int ept_page_insert(struct Guest *g, struct PageInfo *pp, gpa_t gpa, uint64_t rights);
/* EPTE_* rights for a user's PTE_* permissions. */
uint64_t ept_rights(uint64_t perm);
/* Drop all mappings and tables. */
void ept_free(struct Guest *g);
int ept_init(struct Guest *g);

/* ---- gmem.c ---- */
enum GmemAccess {
    GMEM_PEEK,  /* look, populate nothing: an untouched page gives a NULL address */
    GMEM_READ,  /* populate the page if it is untouched */
    GMEM_WRITE, /* likewise; -E_INVAL if the guest itself may not write there */
};
/* Is all of [gpa, gpa + len) RAM? Safe against overflow; an empty range is judged as one byte. */
bool gmem_is_ram(const struct Guest *g, gpa_t gpa, size_t len);
/* The same for a guest that would have memsize bytes. */
bool gmem_would_be_ram(uint64_t memsize, gpa_t gpa, size_t len);
/*
 * The one way from guest memory to a host address. All of [gpa, gpa + *len) must be RAM; *hva is
 * the address of its first byte and *len is cut to what lies in the same page. -E_INVAL, -E_NO_MEM.
 */
int gmem_host(struct Guest *g, gpa_t gpa, size_t *len, enum GmemAccess access, void **hva);
/* Give gpa's page, and its neighbours if memory is plenty, zeroed frames. -E_INVAL, -E_NO_MEM. */
int gmem_populate(struct Guest *g, gpa_t gpa);
/* Give all of the 2 MiB around gpa a zeroed large page, if it is time for that (gmem.c has the
 * rule): 0; else nothing is done and gmem_populate is to be called. -E_INVAL, -E_BUSY, -E_NOT_SUPP,
 * -E_NO_MEM. Takes long and lets interrupts in, so no lock may be held. */
int gmem_populate_large(struct Guest *g, gpa_t gpa);
/* The frame at gpa, with a reference for the caller, and its EPT rights. NULL: GMEM_PEEK at an
 * untouched page. Who is not on the guest's CPU needs this, since the guest may at any time put
 * another frame there and free this one. -E_INVAL, -E_NO_MEM. */
int gmem_hold(struct Guest *g, gpa_t gpa, enum GmemAccess access, struct PageInfo **pp,
              uint64_t *rights);
/* Read an aligned entry of 4 or 8 bytes of a table of the guest's; untouched memory reads as
 * zeroes. -E_INVAL: not in RAM. mem_lock is held. */
static inline int gmem_entry(struct Guest *g, gpa_t gpa, int size, uint64_t *entry)
{
    uint64_t e = ept_entry(g, gpa); /* only RAM is ever mapped */
    if (__builtin_expect(e == 0, 0)) {
        *entry = 0;
        return gmem_is_ram(g, gpa, size) ? 0 : -E_INVAL;
    }
    const void *hva = ept_hva(g, e, gpa);
    *entry = size == 8 ? *(const volatile uint64_t *)hva : *(const volatile uint32_t *)hva;
    return 0;
}
/* Read an object of guest memory that does not cross a page; untouched memory reads as zeroes. */
int gmem_peek(struct Guest *g, gpa_t gpa, void *buf, size_t len);

/* ---- gwalk.c: the guest's own page tables ---- */
/* What decides about an access besides the tables. */
struct PagingMode {
    uint64_t cr0, cr3, cr4, efer, rflags;
    uint64_t pdpte[4]; /* of PAE paging */
};
/* The mode that the guest on this CPU is in. */
struct PagingMode paging_mode(void);
enum WalkResult {
    WALK_OK,
    WALK_NOT_PRESENT,
    WALK_FORBIDDEN,
    WALK_RESERVED,
    WALK_UNKNOWN, /* a table is where no memory is, or (guest_mark_access) none that can be written
                   */
    WALK_CHANGED, /* guest_mark_access: the tables have changed meanwhile */
};
/* Would this access (FEC_WR, FEC_U, FEC_ID) to linear address va succeed by the tables in memory?
 * If so, *gpa is what it reaches. */
enum WalkResult guest_walk(struct Guest *g, uint64_t va, uint32_t access, gpa_t *gpa);
/* Set the accessed and dirty flags that the CPU would set for an access which guest_walk allows,
 * and which the VMM carries out in its place (SDM "Accessed and Dirty Flags"). WALK_OK: done. */
enum WalkResult guest_mark_access(struct Guest *g, uint64_t va, uint32_t access);
/* guest_walk in another mode than that of this moment. After WALK_FORBIDDEN, *gpa is valid too. */
enum WalkResult guest_walk_in(struct Guest *g, const struct PagingMode *m, uint64_t va,
                              uint32_t access, gpa_t *gpa);
/* Load the four PDPTEs of PAE paging from cr3 into the VMCS. false: reserved bits are set, #GP. */
bool guest_load_pdptes(struct Guest *g, uint64_t cr3);

#endif
