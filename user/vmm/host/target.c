/*
 * What targets share.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <user/vmm/host/target.h>

void target_look_at(const void *p, size_t n)
{
    static char copy[4096];
    for (size_t done = 0, len; done < n; done += len) {
        len = n - done < sizeof(copy) ? n - done : sizeof(copy);
        memcpy(copy, (const char *)p + done, len);
        asm volatile("" : : : "memory");
    }
}

void target_failed(const char *file, int line, const char *what, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "%s:%d: not true: %s: ", file, line, what);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    abort();
}
