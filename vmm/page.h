/*
 * Pages that hold structures of the VMM.
 */
#ifndef JOS_VMM_PAGE_H
#define JOS_VMM_PAGE_H

#include <kern/pmap.h>

/* One zeroed page, or NULL. */
static inline void *page_new(void)
{
    struct PageInfo *pp = page_alloc(ALLOC_ZERO);
    if (!pp)
        return NULL;
    page_incref(pp);
    return page2kva(pp);
}

/* Give it back; NULL: nothing. */
static inline void page_drop(void *page)
{
    if (page)
        page_decref(pa2page(PADDR(page)));
}

#endif
