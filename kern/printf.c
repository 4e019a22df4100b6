/*
 * Formatted output to the console, in chunks, so that a device sees few and long writes.
 */
#include <inc/stdio.h>
#include <kern/dev/console.h>
#include <kern/printf.h>

#define CHUNK 256

static void (*sink)(const char *s, size_t len) = cons_write;

void cprintf_to(void (*fn)(const char *s, size_t len))
{
    sink = fn ? fn : cons_write;
}

struct Chunk {
    size_t len;
    int total;
    char buf[CHUNK];
};

static void put(int c, void *arg)
{
    struct Chunk *ch = arg;

    ch->buf[ch->len++] = (char)c;
    ch->total++;
    if (ch->len == CHUNK) {
        sink(ch->buf, ch->len);
        ch->len = 0;
    }
}

/* Returns the number of characters written. */
int vcprintf(const char *fmt, va_list ap)
{
    struct Chunk ch = { .len = 0, .total = 0 };

    vprintfmt(put, &ch, fmt, ap);
    if (ch.len > 0)
        sink(ch.buf, ch.len);
    return ch.total;
}

int cprintf(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    int n = vcprintf(fmt, ap);
    va_end(ap);
    return n;
}
