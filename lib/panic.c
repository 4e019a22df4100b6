/*
 * What a program does about its own mistakes.
 */
#include <inc/lib.h>

void panic_at(const char *file, int line, const char *fmt, ...)
{
    va_list ap;

    cprintf("[%08x] %s: panic at %s:%d: ", thisenv ? thisenv->env_id : 0, binaryname, file, line);
    va_start(ap, fmt);
    vcprintf(fmt, ap);
    va_end(ap);
    cprintf("\n");
    exit(EXIT_PANIC);
}
