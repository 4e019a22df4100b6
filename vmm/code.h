/*
 * An instruction that the VMM has read through the guest's page tables, with all that says where it
 * is and what it is. To see whether it still is there takes a look at each of these places again,
 * but no walk. The guest may change any of them at any time without an exit, so nothing is believed
 * that has not been looked at.
 */
#ifndef JOS_VMM_CODE_H
#define JOS_VMM_CODE_H

#include <inc/mmu.h>
#include <inc/types.h>

#define CODE_LEVELS 4
#define CODE_BYTES  16

struct CodePlace {
    bool valid; /* the second stage maps all of it as it did: ept.c takes that back */
    uint64_t va, cr3;
    /* The entries of 4-level paging on the way to it, and what they were. A large page's entry
     * stands for those below it, too. */
    const volatile uint64_t *entry[CODE_LEVELS];
    uint64_t seen[CODE_LEVELS];
    const volatile uint64_t *bytes; /* CODE_BYTES of them, in one page */
    uint64_t code[CODE_BYTES / 8];
};

/* Is it there still, in 4-level paging with this CR3? The guest's mem_lock is held. */
static inline bool code_is_at(const struct CodePlace *c, uint64_t va, uint64_t cr3)
{
    return c->valid && c->va == va && c->cr3 == cr3 && *c->entry[3] == c->seen[3] &&
           *c->entry[2] == c->seen[2] && *c->entry[1] == c->seen[1] && *c->entry[0] == c->seen[0] &&
           c->bytes[0] == c->code[0] && c->bytes[1] == c->code[1];
}

#endif
