/*
 * What a vCPU remembers of the second stage (vmm/gmem.h).
 */
#ifndef JOS_VMM_LEAF_H
#define JOS_VMM_LEAF_H

#include <inc/mmu.h>
#include <inc/types.h>

/* What maps 2 MiB of guest memory: a table of level 0, or the one entry of a large page. Such
 * tables stay to the guest's end, and a large page is split at most once, which empties the caches.
 */
struct LeafCache {
    uint64_t region;   /* LEAF_REGION of its gpas; NO_REGION: none */
    uint64_t *entries; /* of 4 KiB; or the large page's */
    uint64_t index;    /* bits of a gpa's page number that select the entry */
    uint64_t offset;   /* bits of a gpa that are below what an entry maps */
};
#define NO_REGION        (~0ul)
#define LEAF_REGION(gpa) ((gpa) / PGSIZE_2M)

#endif
