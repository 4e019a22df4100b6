/*
 * The paging mode of a guest.
 */
#ifndef JOS_VMM_PAGING_H
#define JOS_VMM_PAGING_H

#include <inc/types.h>

#define PAE_PDPTES 4

/* What decides about an access besides the tables. The back end fills it in. */
struct PagingMode {
    uint64_t cr0, cr3, cr4, efer, rflags;
    uint64_t pdpte[PAE_PDPTES]; /* of PAE paging */
};

#endif
