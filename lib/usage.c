/*
 * `-h`, and wrong usage. It is linked into programs that call usage().
 */
#include "internal.h"

#include <inc/lib.h>

#define STATUS_USAGE 2

int usage(void)
{
    fprintf(2, "usage: %s\n", usage_text);
    return STATUS_USAGE;
}

/* libmain calls it first. */
void help(int argc, char **argv)
{
    if (argc != 2 || strcmp(argv[1], "-h") != 0)
        return;
    printf("usage: %s\n", usage_text);
    exit(0);
}
