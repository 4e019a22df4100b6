/*
 * Formatted output to the console and to files. Text is collected on the stack, so that a call
 * makes one write as long as it fits.
 */
#include <inc/lib.h>

struct Sink {
    int fd; /* -1: the console itself */
    int err;
    size_t total, len;
    char buf[256];
};

static void sink_flush(struct Sink *s)
{
    if (s->len == 0 || s->err < 0)
        return;
    ssize_t n = s->fd < 0 ? sys_cputs(s->buf, s->len) : write(s->fd, s->buf, s->len);
    if (n < 0)
        s->err = n;
    s->total += s->len;
    s->len = 0;
}

static void sink_putch(int c, void *arg)
{
    struct Sink *s = arg;
    if (s->len == sizeof(s->buf))
        sink_flush(s);
    if (s->len < sizeof(s->buf))
        s->buf[s->len++] = c;
}

/* Returns the number of bytes, or the error of the first write that failed. */
static int vsink(int fd, const char *fmt, va_list ap)
{
    struct Sink s;
    s.fd = fd;
    s.err = 0;
    s.total = s.len = 0;
    vprintfmt(sink_putch, &s, fmt, ap);
    sink_flush(&s);
    return s.err < 0 ? s.err : (int)s.total;
}

int vcprintf(const char *fmt, va_list ap)
{
    return vsink(-1, fmt, ap);
}

int cprintf(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsink(-1, fmt, ap);
    va_end(ap);
    return n;
}

int fprintf(int fd, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsink(fd, fmt, ap);
    va_end(ap);
    return n;
}

int printf(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsink(1, fmt, ap);
    va_end(ap);
    return n;
}

void warn(const char *fmt, ...)
{
    struct Sink s;
    va_list ap;

    s.fd = 2;
    s.err = 0;
    s.total = s.len = 0;
    printfmt(sink_putch, &s, "%s: ", binaryname);
    va_start(ap, fmt);
    vprintfmt(sink_putch, &s, fmt, ap);
    va_end(ap);
    sink_putch('\n', &s);
    sink_flush(&s);
}

int getchar(void)
{
    unsigned char c;
    ssize_t n = read(0, &c, 1);
    return n == 1 ? c : n < 0 ? n : -E_EOF;
}

int putchar(int c)
{
    char ch = c;
    ssize_t n = write(1, &ch, 1);
    return n == 1 ? (unsigned char)ch : n;
}
