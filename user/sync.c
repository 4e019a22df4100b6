/*
 * sync: write everything that waits in memory to disk.
 */
#include <inc/lib.h>

int umain(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    int r = sync();
    if (r < 0)
        warn("%e", r);
    return r < 0;
}
