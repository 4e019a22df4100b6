/*
 * wild-ept: guest-physical memory that is not there, in the hole below 4 GiB and beyond the end of
 * RAM, reads ones and takes what is written without a trace. Code of ones is an invalid
 * instruction. With `walk`, page tables are there: the page fault cannot be delivered, and this
 * guest ends.
 */
#include "rt.h"

const char guest_name[] = "wild-ept";

#define VA   0x40000000ul
#define HOLE 0xd0000000ul

static void try_at(uint64_t gpa)
{
    volatile uint32_t *p = (volatile uint32_t *)VA;
    map_2m(VA, gpa, PTE_P | PTE_W);
    trying("a read of gpa 0x%lx", gpa);
    check(*p == 0xffffffff, "it is 0x%x", *p);
    trying("a write to gpa 0x%lx", gpa);
    *p = 1;
    check(*p == 0xffffffff, "after a write it is 0x%x", *p);
    trying("an instruction fetch from gpa 0x%lx", gpa);
    int v = CATCH("jmp *%%rax", VA, 0, 0);
    check(v == T_ILLOP && caught.rip == VA, "trap %d at rip 0x%lx", v, caught.rip);
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    if (cmdline_has("walk")) {
        trying("page tables at gpa 0x%lx", HOLE);
        lcr3(HOLE);
        check_failed("the access went through");
        return check_result();
    }
    try_at(HOLE);
    try_at(ROUNDUP(memory_end(), PGSIZE_2M));
    return check_result();
}
