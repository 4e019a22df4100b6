/*
 * sync: write everything that waits in memory to disk.
 */
#include <inc/lib.h>

USAGE("sync");

int umain(int argc, char **argv)
{
    (void)argv;
    if (argc > 1)
        return usage();
    int r = sync();
    if (r < 0)
        warn("%e", r);
    return r < 0;
}
