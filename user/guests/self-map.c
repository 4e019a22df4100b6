/*
 * self-map: page tables that map themselves, and are changed through their own mapping, one page
 * moving over many frames; each access reaches the frame that the entry names at that moment.
 */
#include "rt.h"

const char guest_name[] = "self-map";

extern uint64_t boot_pml4[NPTENTRIES];

#define SELF     300
#define VA       0x40000000ul
#define FRAMES   64
#define LAPS     50
#define PTX_BITS 9

static uint64_t frames[FRAMES][NPTENTRIES] __attribute__((aligned(PGSIZE)));

/* The entry of va in its last table, through the PML4's entry that names the PML4. */
static uint64_t *self_pte(uint64_t va)
{
    uint64_t base = 0xffff000000000000ul | (uint64_t)SELF << (PGSHIFT + 3 * PTX_BITS);
    return (uint64_t *)(base + ((va >> PGSHIFT) & ((1ul << 4 * PTX_BITS) - 1)) * sizeof(uint64_t));
}

int guest_main(const struct MultibootInfo *info)
{
    volatile uint64_t *p = (volatile uint64_t *)VA;
    (void)info;
    trying("to move a page through page tables that map themselves");
    boot_pml4[SELF] = (uint64_t)boot_pml4 | PTE_P | PTE_W;
    map_4k(VA, (uint64_t)frames[0], PTE_P | PTE_W);
    for (uint64_t i = 0; i < FRAMES; i++)
        frames[i][7] = i;
    for (unsigned lap = 0; lap < LAPS; lap++)
        for (uint64_t i = 0; i < FRAMES; i++) {
            *self_pte(VA) = (uint64_t)frames[i] | PTE_P | PTE_W;
            invlpg((void *)VA);
            check(p[7] == i, "frame %lu reads as %lu", i, p[7]);
            p[8] = lap;
            check(frames[i][8] == lap, "frame %lu was not written", i);
        }
    trying("an entry that takes itself away");
    *self_pte(VA) = 0;
    invlpg((void *)VA);
    check(CATCH("movq (%%rax), %%rax", VA, 0, 0) == T_PGFLT, "trap %d", caught.vector);
    *self_pte((uint64_t)self_pte(VA)) = 0;
    lcr3(rcr3());
    check(CATCH("movq (%%rax), %%rax", (uint64_t)self_pte(VA), 0, 0) == T_PGFLT, "trap %d",
          caught.vector);
    return check_result();
}
