/*
 * hello [WORD...]: the smallest program that shows something: who it is, and its arguments.
 */
#include <inc/lib.h>

int umain(int argc, char **argv)
{
    printf("hello, world. I am environment %08x\n", thisenv->env_id);
    for (int i = 1; i < argc; i++)
        printf("argument %d: %s\n", i, argv[i]);
    return 0;
}
