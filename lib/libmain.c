/*
 * The first C function of every program: sets up what the library knows about its own env and
 * calls umain.
 */
#include "internal.h"

#include <inc/lib.h>

const volatile struct Env *const envs = (const volatile struct Env *)UENVS;
const volatile struct PageInfo *const pages = (const volatile struct PageInfo *)UPAGES;
const volatile struct Env *thisenv;
const char *binaryname = "program";

void libmain(int argc, char **argv) __attribute__((noreturn));

/* argc is 0 and argv NULL for the programs that the kernel starts itself. */
void libmain(int argc, char **argv)
{
    thisenv = &envs[ENVX(sys_getenvid())];
    if (argc > 0) {
        const char *slash = strrchr(argv[0], '/');
        binaryname = slash ? slash + 1 : argv[0];
    }
    if (help)
        help(argc, argv);
    exit(umain(argc, argv));
}
