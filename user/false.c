/*
 * false: fail.
 */
#include <inc/lib.h>

int umain(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return 1;
}
