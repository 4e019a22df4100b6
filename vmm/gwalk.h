/*
 * The guest's own page tables, read through the second stage: what the CPU's page walk would say.
 */
#ifndef JOS_VMM_GWALK_H
#define JOS_VMM_GWALK_H

#include <inc/types.h>
#include <vmm/paging.h>

struct CodePlace;
struct Vcpu;

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
 * *gpa is what it reaches; it is valid after WALK_FORBIDDEN, too. On the vCPU's own CPU, or while
 * it has none. */
enum WalkResult guest_walk(struct Vcpu *v, const struct PagingMode *m, uint64_t va, uint32_t access,
                           gpa_t *gpa);
/* The byte at a linear address, as the VMM reads code. false: it is not there. */
bool guest_fetch(struct Vcpu *v, const struct PagingMode *m, uint64_t va, uint8_t *byte);
/* Up to n bytes of code, not more than a page, from a linear address on, which has 32 bits unless
 * it is `wide`; how many are in RAM that has been touched. */
uint32_t guest_fetch_code(struct Vcpu *v, const struct PagingMode *m, uint64_t va, bool wide,
                          uint8_t *buf, uint32_t n);
/* Note where the CODE_BYTES at va are, in 4-level paging. false: some of it is not in RAM that has
 * been touched, or they are in two pages. */
bool guest_find_code(struct Vcpu *v, uint64_t va, uint64_t cr3, struct CodePlace *c);
/* Set the accessed and dirty flags that the CPU would set for an access which guest_walk allows,
 * and which the VMM carries out in its place (SDM "Accessed and Dirty Flags"). WALK_OK: done. */
enum WalkResult guest_mark_access(struct Vcpu *v, const struct PagingMode *m, uint64_t va,
                                  uint32_t access);
/* The error code of the page fault that this access raises; r is not WALK_OK. */
uint32_t guest_fault_error(enum WalkResult r, uint32_t access);
/* The four PDPTEs of PAE paging at cr3. false: reserved bits are set (#GP), or they are not in RAM.
 */
bool guest_read_pdptes(struct Vcpu *v, uint64_t cr3, uint64_t pdpte[PAE_PDPTES]);

#endif
