/*
 * Guest memory as the host sees it: the one way from a guest-physical address to a host address.
 */
#ifndef JOS_VMM_GMEM_H
#define JOS_VMM_GMEM_H

#include <inc/types.h>
#include <inc/mmu.h>
#include <kern/pmap.h>
#include <vmm/leaf.h>
#include <vmm/verdict.h>

struct PageInfo;
struct Vcpu;
struct Vm;

enum GmemAccess {
    GMEM_PEEK,  /* look, populate nothing: an untouched page gives a NULL address */
    GMEM_READ,  /* populate the page if it is untouched */
    GMEM_WRITE, /* likewise; -E_INVAL if the guest itself may not write there */
};

/* Is all of [gpa, gpa + len) RAM? Safe against overflow; an empty range is judged as one byte. */
bool gmem_is_ram(const struct Vm *vm, gpa_t gpa, size_t len);
/* The same for a guest that would have memsize bytes. */
bool gmem_would_be_ram(uint64_t memsize, gpa_t gpa, size_t len);
/*
 * The one way from guest memory to a host address. All of [gpa, gpa + *len) must be RAM; *hva is
 * the address of its first byte and *len is cut to what lies in the same page. -E_INVAL, -E_NO_MEM.
 */
int gmem_host(struct Vm *vm, gpa_t gpa, size_t *len, enum GmemAccess access, void **hva);
/* Give gpa's page, and its neighbours if memory is plenty, zeroed frames. -E_INVAL, -E_NO_MEM. */
int gmem_populate(struct Vm *vm, gpa_t gpa);
/* Give untouched pages of [gpa, gpa + len), which is RAM, frames with what the current env has at
 * buf: whole pages from gpa on, as far as they are untouched and in one table. Returns how many
 * bytes that are; 0: the first page is not like that. -E_NO_MEM; -E_FAULT: buf. */
ssize_t gmem_populate_from(struct Vm *vm, gpa_t gpa, uintptr_t buf, size_t len);
/* Give all of the 2 MiB around gpa a zeroed large page, if it is time for that (gmem.c has the
 * rule): 0; else nothing is done and gmem_populate is to be called. -E_INVAL, -E_BUSY, -E_NOT_SUPP,
 * -E_NO_MEM. Takes long and lets interrupts in, so no lock may be held. */
int gmem_populate_large(struct Vm *vm, gpa_t gpa);
/* The frame at gpa, with a reference for the caller, and its rights (GUEST_*). NULL: GMEM_PEEK at
 * an untouched page. Whoever is not on the guest's CPU needs this, since the guest may at any time
 * put another frame there and free this one. -E_INVAL, -E_NO_MEM. */
int gmem_hold(struct Vm *vm, gpa_t gpa, enum GmemAccess access, struct PageInfo **pp,
              uint32_t *rights);
/* Read an object of guest memory that does not cross a page; untouched memory reads as zeroes.
 * -E_INVAL. */
int gmem_peek(struct Vm *vm, gpa_t gpa, void *buf, size_t len);

/* The entry that maps gpa, or 0, by a vCPU's cache of the last leaf; *hva: the host address of gpa,
 * if it is mapped. mem_lock is held. */
uint64_t gmem_entry_elsewhere(struct Vm *vm, struct LeafCache *leaf, gpa_t gpa);
static inline uint64_t gmem_entry(struct Vm *vm, struct LeafCache *leaf, gpa_t gpa, void **hva)
{
    uint64_t e = __builtin_expect(LEAF_REGION(gpa) == leaf->region, 1)
                     ? leaf->entries[gpa >> PGSHIFT & leaf->index]
                     : gmem_entry_elsewhere(vm, leaf, gpa);
    if (e)
        *hva = (char *)KADDR(PTE_ADDR(e)) + (gpa & leaf->offset);
    return e;
}

/* A guest's access (GUEST_READ ...) to gpa, which is RAM, has faulted in the second stage. The
 * first touch gets memory; what the entry forbids ends the guest, since no device is there that
 * could answer. DO_AGAIN; DO_LEAVE. */
enum Verdict gmem_fault(struct Vcpu *v, gpa_t gpa, uint32_t access);

#endif
