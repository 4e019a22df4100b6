/*
 * Guest memory as the host sees it. Every address that comes from a guest or a monitor goes through
 * gmem_is_ram, and becomes a host address in gmem_host and gmem_entry only (the
 * latter finds nothing but RAM mapped). Memory is taken when it
 * is touched first.
 */
#include <vmm/internal.h>

/* Frames that one EPT violation populates at most, and the free frames below which it is only one.
 */
#define AROUND_PAGES 16
#define PLENTY_PAGES 1024
/* Frames that a guest has before it gets whole pages of 2 MiB. */
#define GROWN_PAGES 128
/* Bytes that are cleared with interrupts off. */
#define ZERO_CHUNK 0x4000ul
/* Free frames that guests leave to envs, so that the shell can still end a guest. */
#define RESERVE_PAGES 512

bool gmem_would_be_ram(uint64_t memsize, gpa_t gpa, size_t len)
{
    gpa_t last = gpa + (len > 0 ? len - 1 : 0);
    if (last < gpa)
        return false;
    if (last < GUEST_HOLE_START)
        return last < memsize;
    return gpa >= GUEST_HOLE_END && memsize > GUEST_HOLE_START &&
           last - GUEST_HOLE_END < memsize - GUEST_HOLE_START;
}

bool gmem_is_ram(const struct Guest *g, gpa_t gpa, size_t len)
{
    return gmem_would_be_ram(g->memsize, gpa, len);
}

/* Give one page a zeroed frame unless it has one. */
static int populate_page(struct Guest *g, gpa_t gpa)
{
    struct PageInfo *pp = page_alloc(ALLOC_ZERO);
    if (pp == NULL)
        return -E_NO_MEM;
    int r = ept_map_hva2gpa(g, page2kva(pp), gpa, EPTE_RWX, false);
    if (r < 0)
        page_free(pp);
    return r == -E_BUSY ? 0 : r;
}

static bool is_mapped(struct Guest *g, gpa_t gpa)
{
    spin_lock(&g->mem_lock);
    bool mapped = ept_gpa2hva(g, gpa, NULL) != NULL;
    spin_unlock(&g->mem_lock);
    return mapped;
}

int gmem_populate(struct Guest *g, gpa_t gpa)
{
    gpa_t page = ROUNDDOWN(gpa, PGSIZE);
    if (!gmem_is_ram(g, page, PGSIZE))
        return -E_INVAL;
    size_t nfree = page_nfree();
    if (nfree < RESERVE_PAGES)
        return -E_NO_MEM;
    int r = populate_page(g, page);
    if (r < 0 || nfree < PLENTY_PAGES)
        return r;
    gpa_t first = ROUNDDOWN(gpa, AROUND_PAGES * PGSIZE);
    for (gpa_t p = first; p < first + AROUND_PAGES * PGSIZE; p += PGSIZE) {
        if (!gmem_is_ram(g, p, PGSIZE) || is_mapped(g, p))
            continue;
        if (populate_page(g, p) < 0)
            break; /* the page that was asked for is there */
    }
    return 0;
}

/* Do the 2 MiB around gpa have pages, or did they? */
static bool had_pages(struct Guest *g, gpa_t gpa)
{
    uint64_t *e;
    spin_lock(&g->mem_lock);
    bool had = ept_lookup_gpa(g, gpa, false, &e) == 0;
    spin_unlock(&g->mem_lock);
    return had;
}

/*
 * When a whole page of 2 MiB is given: the 2 MiB are untouched; the guest has memory of its own
 * already, so that the page is no large part more than a small guest needs; and a quarter of the
 * host's memory stays free, so that many guests that touch little of theirs do not use it up.
 */
static bool large_is_due(struct Guest *g, gpa_t gpa)
{
    return !g->small_pages_only && g->stats.pages >= GROWN_PAGES &&
           page_nfree() >= page_ntotal() / 4 + RUN_FRAMES && !had_pages(g, gpa);
}

/* Clear a run, in parts: the host's devices do not wait for so long. */
static void zero_run(char *run)
{
    for (size_t done = 0; done < PGSIZE_2M; done += ZERO_CHUNK) {
        memset(run + done, 0, ZERO_CHUNK);
        asm volatile("sti; nop; cli" : : : "memory");
    }
}

int gmem_populate_large(struct Guest *g, gpa_t gpa)
{
    gpa_t first = ROUNDDOWN(gpa, PGSIZE_2M);
    if (!gmem_is_ram(g, first, PGSIZE_2M))
        return -E_INVAL;
    if (!large_is_due(g, gpa))
        return -E_BUSY;
    struct PageInfo *run = page_run_alloc();
    if (run == NULL)
        return -E_NO_MEM;
    zero_run(page2kva(run));
    int r = ept_map_large(g, page2kva(run), first, EPTE_RWX);
    if (r < 0)
        page_run_decref(run);
    if (r == -E_NOT_SUPP)
        g->small_pages_only = true;
    return r;
}

int gmem_host(struct Guest *g, gpa_t gpa, size_t *len, enum GmemAccess access, void **hva)
{
    uint64_t rights = 0;
    if (!gmem_is_ram(g, gpa, *len))
        return -E_INVAL;
    *len = MIN(*len, PGSIZE - PGOFF(gpa));
    spin_lock(&g->mem_lock);
    *hva = ept_gpa2hva(g, gpa, &rights);
    spin_unlock(&g->mem_lock);
    if (*hva == NULL && access != GMEM_PEEK) {
        int r = gmem_populate(g, gpa);
        if (r < 0)
            return r;
        spin_lock(&g->mem_lock);
        *hva = ept_gpa2hva(g, gpa, &rights);
        spin_unlock(&g->mem_lock);
    }
    if (access == GMEM_WRITE && !(rights & EPTE_W))
        return -E_INVAL;
    return 0;
}

int gmem_hold(struct Guest *g, gpa_t gpa, enum GmemAccess access, struct PageInfo **pp,
              uint64_t *rights)
{
    void *hva;
    size_t len = 1;
    int r = gmem_host(g, gpa, &len, access, &hva);
    *pp = NULL;
    if (r < 0 || hva == NULL)
        return r;
    spin_lock(&g->mem_lock);
    *pp = pa2page(PADDR(ept_gpa2hva(g, gpa, rights)));
    page_incref(*pp);
    spin_unlock(&g->mem_lock);
    return 0;
}

int gmem_peek(struct Guest *g, gpa_t gpa, void *buf, size_t len)
{
    void *hva;
    size_t n = len;
    int r = gmem_host(g, gpa, &n, GMEM_PEEK, &hva);
    if (r < 0)
        return r;
    if (n != len)
        return -E_INVAL;
    if (hva == NULL)
        memset(buf, 0, len);
    else
        memcpy(buf, hva, len);
    return 0;
}
