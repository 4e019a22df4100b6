/*
 * wild-ept: an access to guest-physical memory that is not there ends the guest with the address.
 * The command line chooses: `write`, `fetch`, `beyond` (the end of RAM), `walk` (a page table
 * there); else a read in the hole below 4 GiB.
 */
#include "rt.h"

const char guest_name[] = "wild-ept";

#define VA 0x40000000ul

int guest_main(const struct MultibootInfo *info)
{
    uint64_t gpa = cmdline_has("beyond") ? ROUNDUP(memory_end(), PGSIZE_2M) : 0xd0000000;
    volatile uint32_t *p = (volatile uint32_t *)VA;
    (void)info;

    map_2m(VA, gpa, PTE_P | PTE_W);
    if (cmdline_has("write")) {
        trying("a write to gpa 0x%lx", gpa);
        *p = 1;
    } else if (cmdline_has("fetch")) {
        trying("an instruction fetch from gpa 0x%lx", gpa);
        ((void (*)(void))VA)();
    } else if (cmdline_has("walk")) {
        trying("page tables at gpa 0x%lx", gpa);
        lcr3(gpa);
    } else {
        trying("a read of gpa 0x%lx", gpa);
        (void)*p;
    }
    check_failed("the access went through");
    return check_result();
}
