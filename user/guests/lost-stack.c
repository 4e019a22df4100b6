/*
 * lost-stack: an exception whose frame cannot be pushed, nor the frame of what follows from that,
 * shuts the CPU down: this guest ends by a triple fault. The command line chooses the stack: `high`
 * (not canonical), `nowhere` (no memory behind it), else one that is not mapped.
 */
#include "rt.h"

const char guest_name[] = "lost-stack";

#define VA        0x40000000ul
#define NOWHERE   0xd0000000ul
#define NOT_CANON 0x900000000000ul

int guest_main(const struct MultibootInfo *info)
{
    uint64_t rsp = cmdline_has("high") ? NOT_CANON : VA + PGSIZE;
    (void)info;
    if (cmdline_has("nowhere"))
        map_2m(VA, NOWHERE, PTE_P | PTE_W);
    trying("an exception with the stack at 0x%lx", rsp);
    asm volatile("movq %0, %%rsp; ud2" : : "r"(rsp));
    __builtin_unreachable();
}
