/*
 * cli-spin: spins for ever with interrupts off. The host's timer takes the CPU from it all the
 * same.
 */
#include "rt.h"

const char guest_name[] = "cli-spin";

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    trying("cli; jmp .");
    asm volatile("cli; 1: jmp 1b");
    return check_result();
}
