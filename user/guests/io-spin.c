/*
 * io-spin: with interrupts off, asks its monitor for a port again and again. So the CPU goes to and
 * fro between guest and monitor; others must get their share of it nevertheless.
 */
#include "rt.h"

const char guest_name[] = "io-spin";

#define PORT 0x20

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    trying("to keep the CPU between me and my monitor");
    for (;;)
        inb(PORT);
}
