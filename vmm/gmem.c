/*
 * Guest memory as the host sees it. Every address that comes from a guest or a monitor goes through
 * gmem_is_ram, and becomes a host address in gmem_host and gmem_entry only (the latter finds
 * nothing but RAM mapped). Memory is taken when it is touched first.
 */
#include <inc/stdio.h>
#include <inc/error.h>
#include <inc/string.h>
#include <kern/uaccess.h>
#include <vmm/backend.h>
#include <vmm/ept.h>
#include <vmm/kill.h>
#include <vmm/gmem.h>
#include <vmm/verdict.h>
#include <vmm/vcpu.h>

/* Frames that one fault populates at most, and the free frames below which it is only one.
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

bool gmem_is_ram(const struct Vm *vm, gpa_t gpa, size_t len)
{
    return gmem_would_be_ram(vm->memsize, gpa, len);
}

/* Give one page a zeroed frame unless it has one. */
static int populate_page(struct Vm *vm, gpa_t gpa)
{
    struct PageInfo *pp = page_alloc(ALLOC_ZERO);
    if (!pp)
        return -E_NO_MEM;
    int r = ept_map_hva2gpa(vm, page2kva(pp), gpa, GUEST_RWX, false);
    if (r < 0)
        page_free(pp);
    return r == -E_BUSY ? 0 : r;
}

/* Map pp, with a new reference, by an entry that maps nothing. false: it does now. */
static bool put_frame(struct Vm *vm, uint64_t *entry, struct PageInfo *pp)
{
    spin_lock(&vm->mem_lock);
    bool empty = *entry == 0;
    if (empty)
        ept_fill(vm, entry, pp, GUEST_RWX);
    spin_unlock(&vm->mem_lock);
    return empty;
}

/* The same as populate_page by the entry. false: no memory. */
static bool fill_entry(struct Vm *vm, uint64_t *entry)
{
    /* Without the lock: an entry that maps a page maps one to the guest's end. */
    if (READ_ONCE(*entry) != 0)
        return true;
    struct PageInfo *pp = page_alloc(ALLOC_ZERO);
    if (!pp)
        return false;
    if (!put_frame(vm, entry, pp))
        page_free(pp);
    return true;
}

/* Give the neighbours of gpa, which has a page, frames too, as far as there is memory. Their
 * entries are in the same table, which stays to the guest's end. */
static void populate_around(struct Vm *vm, gpa_t gpa)
{
    gpa_t first = ROUNDDOWN(gpa, AROUND_PAGES * PGSIZE);
    uint64_t *e = NULL;
    spin_lock(&vm->mem_lock);
    int r = ept_lookup_gpa(vm, first, false, &e);
    spin_unlock(&vm->mem_lock);
    if (r < 0 || (*e & EPTE_LARGE))
        return;
    for (gpa_t p = first; p < first + AROUND_PAGES * PGSIZE; p += PGSIZE, e++)
        if (gmem_is_ram(vm, p, PGSIZE) && !fill_entry(vm, e))
            return;
}

int gmem_populate(struct Vm *vm, gpa_t gpa)
{
    gpa_t page = ROUNDDOWN(gpa, PGSIZE);
    if (!gmem_is_ram(vm, page, PGSIZE))
        return -E_INVAL;
    size_t nfree = page_nfree();
    if (nfree < RESERVE_PAGES)
        return -E_NO_MEM;
    int r = populate_page(vm, page);
    if (r == 0 && nfree >= PLENTY_PAGES)
        populate_around(vm, gpa);
    return r;
}

/* Give an entry a frame with what the page at buf holds. The frame is not cleared first, since all
 * of it is overwritten before anybody has it mapped: if the copy stops half-way, it is given back,
 * and what it holds is seen by nobody. -E_BUSY: the entry has a frame; -E_NO_MEM, -E_FAULT. */
static int fill_entry_from(struct Vm *vm, uint64_t *entry, uintptr_t buf)
{
    if (READ_ONCE(*entry) != 0)
        return -E_BUSY;
    struct PageInfo *pp = page_nfree() < RESERVE_PAGES ? NULL : page_alloc(0);
    if (!pp)
        return -E_NO_MEM;
    int r = copyin(page2kva(pp), buf, PGSIZE);
    if (r == 0)
        r = put_frame(vm, entry, pp) ? 0 : -E_BUSY;
    if (r < 0)
        page_free(pp);
    return r;
}

ssize_t gmem_populate_from(struct Vm *vm, gpa_t gpa, uintptr_t buf, size_t len)
{
    size_t done = 0, whole = MIN(ROUNDDOWN(len, PGSIZE), PGSIZE_2M - gpa % PGSIZE_2M);
    uint64_t *e;
    if (PGOFF(gpa) != 0 || whole == 0)
        return 0;
    spin_lock(&vm->mem_lock);
    int r = ept_lookup_gpa(vm, gpa, true, &e);
    bool large = r == 0 && (*e & EPTE_LARGE);
    spin_unlock(&vm->mem_lock);
    if (large)
        return 0;
    for (; r == 0 && done < whole; done += r == 0 ? PGSIZE : 0)
        r = fill_entry_from(vm, e++, buf + done);
    return done > 0 || r == -E_BUSY ? (ssize_t)done : r;
}

/* Do the 2 MiB around gpa have pages, or did they? */
static bool had_pages(struct Vm *vm, gpa_t gpa)
{
    uint64_t *e;
    spin_lock(&vm->mem_lock);
    bool had = ept_lookup_gpa(vm, gpa, false, &e) == 0;
    spin_unlock(&vm->mem_lock);
    return had;
}

/*
 * When a whole page of 2 MiB is given: the 2 MiB are untouched; the guest has memory of its own
 * already, so that the page adds little to what a small guest needs; and a quarter of the
 * host's memory stays free, so that many guests that touch little of theirs do not use it up.
 */
static bool large_is_due(struct Vm *vm, gpa_t gpa)
{
    return !vm->small_pages_only && vm->stats.pages >= GROWN_PAGES &&
           page_nfree() >= page_ntotal() / 4 + RUN_FRAMES && !had_pages(vm, gpa);
}

/* Clear a run but for its first bytes, in parts: the host's devices do not wait for so long. (STI
 * lets interrupts in only after the next instruction, so that one must not be CLI.) */
static void zero_run(char *run, size_t clear)
{
    for (size_t done = clear, n; done < PGSIZE_2M; done += n) {
        n = ZERO_CHUNK - done % ZERO_CHUNK;
        memset(run + done, 0, n);
        asm volatile("sti; nop; cli" : : : "memory");
    }
}

int gmem_populate_large(struct Vm *vm, gpa_t gpa)
{
    gpa_t first = ROUNDDOWN(gpa, PGSIZE_2M);
    if (!gmem_is_ram(vm, first, PGSIZE_2M))
        return -E_INVAL;
    if (!large_is_due(vm, gpa))
        return -E_BUSY;
    size_t clear;
    struct PageInfo *run = page_run_alloc(&clear);
    if (!run)
        return -E_NO_MEM;
    zero_run(page2kva(run), clear);
    int r = ept_map_large(vm, page2kva(run), first, GUEST_RWX);
    if (r < 0)
        page_run_decref(run);
    if (r == -E_NOT_SUPP)
        vm->small_pages_only = true;
    return r;
}

int gmem_host(struct Vm *vm, gpa_t gpa, size_t *len, enum GmemAccess access, void **hva)
{
    uint32_t rights = 0;
    if (!gmem_is_ram(vm, gpa, *len))
        return -E_INVAL;
    *len = MIN(*len, PGSIZE - PGOFF(gpa));
    spin_lock(&vm->mem_lock);
    *hva = ept_gpa2hva(vm, gpa, &rights);
    spin_unlock(&vm->mem_lock);
    if (!*hva && access != GMEM_PEEK) {
        int r = gmem_populate(vm, gpa);
        if (r < 0)
            return r;
        spin_lock(&vm->mem_lock);
        *hva = ept_gpa2hva(vm, gpa, &rights);
        spin_unlock(&vm->mem_lock);
    }
    if (access == GMEM_WRITE && !(rights & GUEST_WRITE))
        return -E_INVAL;
    return 0;
}

int gmem_hold(struct Vm *vm, gpa_t gpa, enum GmemAccess access, struct PageInfo **pp,
              uint32_t *rights)
{
    void *hva;
    size_t len = 1;
    int r = gmem_host(vm, gpa, &len, access, &hva);
    *pp = NULL;
    if (r < 0 || !hva)
        return r;
    /* Look again: another CPU may have put another frame there, and the reference has to be to the
     * one that is there under the lock, and the right, too. */
    spin_lock(&vm->mem_lock);
    struct PageInfo *there = pa2page(PADDR(ept_gpa2hva(vm, gpa, rights)));
    bool allowed = access != GMEM_WRITE || (*rights & GUEST_WRITE);
    if (allowed) {
        page_incref(there);
        *pp = there;
    }
    spin_unlock(&vm->mem_lock);
    return allowed ? 0 : -E_INVAL;
}

int gmem_peek(struct Vm *vm, gpa_t gpa, void *buf, size_t len)
{
    void *hva;
    size_t n = len;
    int r = gmem_host(vm, gpa, &n, GMEM_PEEK, &hva);
    if (r < 0)
        return r;
    if (n != len)
        return -E_INVAL;
    if (!hva)
        memset(buf, 0, len);
    else
        memcpy(buf, hva, len);
    return 0;
}

/* Remember what maps gpa, a table of level 0 or a large page's entry. */
uint64_t gmem_entry_elsewhere(struct Vm *vm, struct LeafCache *leaf, gpa_t gpa)
{
    uint64_t *e;
    if (ept_lookup_gpa(vm, gpa, false, &e) < 0)
        return 0;
    bool large = *e & EPTE_LARGE;
    *leaf = (struct LeafCache){
        .region = LEAF_REGION(gpa),
        .entries = large ? e : (uint64_t *)ROUNDDOWN((uintptr_t)e, PGSIZE),
        .index = large ? 0 : NPTENTRIES - 1,
        .offset = (large ? PGSIZE_2M : PGSIZE) - 1,
    };
    return *e;
}

static const char *access_words(uint32_t access)
{
    if (access == GUEST_FETCH)
        return "instruction fetch";
    return access == GUEST_WRITE ? "write" : "read";
}

/* The first touch of a page of RAM. */
static enum Verdict give_memory(struct Vcpu *v, gpa_t gpa)
{
    int large = gmem_populate_large(v->vm, gpa);
    int r = large == 0 ? 0 : gmem_populate(v->vm, gpa);
    if (r < 0)
        guest_kill(v, "no host memory for guest page 0x%lx: %s", gpa, strerror(r));
    /* Interrupts that came while a large page was cleared may have been for the scheduler. */
    return large == -E_BUSY || large == -E_INVAL ? DO_AGAIN : DO_LEAVE;
}

enum Verdict gmem_fault(struct Vcpu *v, gpa_t gpa, uint32_t access)
{
    void *hva;
    spin_lock(&v->vm->mem_lock);
    uint32_t rights = ept_entry_rights(gmem_entry(v->vm, &v->leaf, gpa, &hva));
    spin_unlock(&v->vm->mem_lock);
    if (rights == 0)
        return give_memory(v, gpa);
    if (access & ~rights)
        guest_kill(v, "forbidden %s at gpa 0x%lx (rights %c%c%c), rip 0x%lx", access_words(access),
                   gpa, rights & GUEST_READ ? 'r' : '-', rights & GUEST_WRITE ? 'w' : '-',
                   rights & GUEST_FETCH ? 'x' : '-', backend->get(v, VREG_RIP));
    return DO_AGAIN;
}
