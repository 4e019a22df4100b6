/*
 * Reading this env's own page tables. UVPT maps them by PML4 slot UVPT_SLOT pointing at the PML4
 * itself, so the tables of each level form one array, indexed by the address bits above that level.
 */
#include "internal.h"

#include <inc/x86.h>

#define UVPT_SLOT (UVPT >> (PGSHIFT + 27))
_Static_assert(UVPT == UVPT_SLOT << 39, "UVPT is the start of a PML4 slot");

/* Bytes that one entry of a table of this level covers. */
#define LEVEL_SIZE(level) (1ul << (PGSHIFT + 9 * (level)))
#define TOP_LEVEL         3

/* Start of the array of all tables of a level: the recursive slot, once more for each level up. */
static inline const volatile uint64_t *tables(int level)
{
    static const uintptr_t start[] = {
        UVPT,
        UVPT | UVPT_SLOT << 30,
        UVPT | UVPT_SLOT << 30 | UVPT_SLOT << 21,
        UVPT | UVPT_SLOT << 30 | UVPT_SLOT << 21 | UVPT_SLOT << 12,
    };
    return (const volatile uint64_t *)start[level];
}

static inline uint64_t entry(uintptr_t va, int level)
{
    return tables(level)[va >> (PGSHIFT + 9 * level)];
}

/* The highest level at which nothing is mapped for va, -1 if its page is mapped. */
static int missing_level(uintptr_t va)
{
    for (int level = TOP_LEVEL; level >= 0; level--)
        if (!(entry(va, level) & PTE_P))
            return level;
    return -1;
}

uint64_t uvpt_entry(uintptr_t va)
{
    if (va < UTOP && (entry(va, 3) & PTE_P) && (entry(va, 2) & PTE_P) && (entry(va, 1) & PTE_P))
        return entry(va, 0);
    return 0;
}

uintptr_t uvpt_next(uintptr_t va)
{
    va = ROUNDUP(va, PGSIZE);
    while (va < UTOP) {
        int level = missing_level(va);
        if (level < 0)
            return va;
        /* To the next entry of this table that is there, or to the end of the table. */
        const uint64_t *from = (const uint64_t *)&tables(level)[va >> (PGSHIFT + 9 * level)];
        va = ROUNDDOWN(va, LEVEL_SIZE(level));
        va += zero_words(from, NPTENTRIES - PTX(va, level)) * LEVEL_SIZE(level);
    }
    return UTOP;
}

uint32_t page_refs(uintptr_t va)
{
    uint64_t pte = uvpt_entry(va);
    return pte & PTE_P ? pages[PGNUM(PTE_ADDR(pte))].pp_ref : 0;
}
