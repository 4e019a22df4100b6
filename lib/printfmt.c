/*
 * printf-style formatting for the kernel and for user programs. The core hands characters to a
 * function of the caller; snprintf and friends put them into memory.
 */
#include <inc/error.h>
#include <inc/stdio.h>
#include <inc/string.h>

/* Longest number: 22 octal digits of a 64-bit value. */
#define MAX_DIGITS 24

/* One conversion specification, parsed. */
struct Spec {
    bool left, zero, plus, space, alt;
    int width;
    int prec; /* -1: none given */
    int size; /* of the argument in bytes: 1, 2, 4 or 8 */
};

struct Out {
    void (*putch)(int c, void *arg);
    void *arg;
};

const char *strerror(int err)
{
    static const char *const words[E_MAX] = { [E_NONE] = "success",
#define ERROR_WORDS(name, text) [name] = text,
                                              ERROR_LIST(ERROR_WORDS)
#undef ERROR_WORDS
    };
    unsigned n = err < 0 ? -(unsigned)err : (unsigned)err;
    return n < E_MAX ? words[n] : NULL;
}

static void out_repeat(struct Out *o, char c, int n)
{
    while (n-- > 0)
        o->putch(c, o->arg);
}

static void out_text(struct Out *o, const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        o->putch((unsigned char)s[i], o->arg);
}

/* Text with blanks up to the width. */
static void out_padded(struct Out *o, const struct Spec *sp, const char *s, size_t len)
{
    int pad = sp->width - (int)len;
    if (!sp->left)
        out_repeat(o, ' ', pad);
    out_text(o, s, len);
    if (sp->left)
        out_repeat(o, ' ', pad);
}

/* Digits of value, ending right before end; returns the first. */
static char *digits_of(uint64_t value, unsigned base, bool upper, char *end)
{
    const char *set = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    char *p = end;

    for (; value; value = base == 10 ? value / 10 : base == 16 ? value >> 4 : value >> 3)
        *--p = set[base == 10 ? value % 10 : value & (base - 1)];
    return p;
}

/* Prefix, zeroes and digits, padded to the width. */
static void out_number(struct Out *o, const struct Spec *sp, const char *prefix, uint64_t value,
                       unsigned base, bool upper)
{
    char buf[MAX_DIGITS], *end = buf + sizeof(buf);
    char *p = digits_of(value, base, upper, end);
    int ndigits = end - p, nprefix = strlen(prefix);
    int zeroes = MAX(sp->prec < 0 ? 1 : sp->prec, 0) - ndigits;

    if (base == 8 && sp->alt && zeroes <= 0)
        zeroes = 1;
    zeroes = MAX(zeroes, 0);
    int pad = sp->width - nprefix - zeroes - ndigits;
    if (sp->zero && !sp->left && sp->prec < 0) {
        zeroes += MAX(pad, 0);
        pad = 0;
    }
    if (!sp->left)
        out_repeat(o, ' ', pad);
    out_text(o, prefix, nprefix);
    out_repeat(o, '0', zeroes);
    out_text(o, p, ndigits);
    if (sp->left)
        out_repeat(o, ' ', pad);
}

static void out_signed(struct Out *o, const struct Spec *sp, int64_t v)
{
    const char *prefix = v < 0 ? "-" : sp->plus ? "+" : sp->space ? " " : "";
    out_number(o, sp, prefix, v < 0 ? -(uint64_t)v : (uint64_t)v, 10, false);
}

static void out_unsigned(struct Out *o, const struct Spec *sp, uint64_t v, char conv)
{
    unsigned base = conv == 'u' ? 10 : conv == 'o' ? 8 : 16;
    bool prefix = base == 16 && sp->alt && v;
    out_number(o, sp, !prefix ? "" : conv == 'X' ? "0X" : "0x", v, base, conv == 'X');
}

static void out_string(struct Out *o, const struct Spec *sp, const char *s)
{
    if (!s)
        s = "(null)";
    out_padded(o, sp, s, sp->prec < 0 ? strlen(s) : strnlen(s, sp->prec));
}

static void out_error(struct Out *o, const struct Spec *sp, int err)
{
    char buf[32];
    const char *s = strerror(err);
    if (!s) {
        snprintf(buf, sizeof(buf), "error %d", err);
        s = buf;
    }
    out_string(o, sp, s);
}

/* The flags of a specification; returns what follows them. */
static const char *parse_flags(const char *f, struct Spec *sp)
{
    for (;; f++) {
        if (*f == '-')
            sp->left = true;
        else if (*f == '0')
            sp->zero = true;
        else if (*f == '+')
            sp->plus = true;
        else if (*f == ' ')
            sp->space = true;
        else if (*f == '#')
            sp->alt = true;
        else
            return f;
    }
}

static const char *parse_decimal(const char *f, int *value)
{
    int v = 0;
    for (; *f >= '0' && *f <= '9'; f++)
        if (v < 1000000)
            v = v * 10 + (*f - '0');
    *value = v;
    return f;
}

/* A length modifier, which says how large the argument is. */
static const char *parse_length(const char *f, struct Spec *sp)
{
    sp->size = sizeof(int);
    if (*f == 'h') {
        sp->size = f[1] == 'h' ? 1 : 2;
        return f + (f[1] == 'h' ? 2 : 1);
    }
    if (*f == 'l' || *f == 'z' || *f == 't' || *f == 'j') {
        sp->size = 8;
        return f + (f[0] == 'l' && f[1] == 'l' ? 2 : 1);
    }
    return f;
}

struct Args {
    va_list ap;
};

/* The next argument for %d, of the given size. */
static int64_t arg_signed(struct Args *a, int size)
{
    if (size == 8)
        return va_arg(a->ap, int64_t);
    int v = va_arg(a->ap, int);
    return size == 1 ? (signed char)v : size == 2 ? (short)v : v;
}

static uint64_t arg_unsigned(struct Args *a, int size)
{
    if (size == 8)
        return va_arg(a->ap, uint64_t);
    unsigned v = va_arg(a->ap, unsigned);
    return size == 1 ? (unsigned char)v : size == 2 ? (unsigned short)v : v;
}

/* Width and precision, as digits or as * with an argument. */
static const char *parse_width(const char *f, struct Spec *sp, struct Args *a)
{
    if (*f == '*') {
        sp->width = va_arg(a->ap, int);
        f++;
        if (sp->width < 0) {
            sp->left = true;
            sp->width = -sp->width;
        }
    } else {
        f = parse_decimal(f, &sp->width);
    }
    sp->prec = -1;
    if (*f != '.')
        return f;
    if (f[1] != '*')
        return parse_decimal(f + 1, &sp->prec);
    sp->prec = va_arg(a->ap, int);
    return f + 2;
}

/* One conversion. An unknown one is printed as it stands, so that the mistake shows. */
static void convert(struct Out *o, const char *start, const char *conv, struct Spec *sp,
                    struct Args *a)
{
    char c;

    switch (*conv) {
    case 'd':
    case 'i':
        return out_signed(o, sp, arg_signed(a, sp->size));
    case 'u':
    case 'x':
    case 'X':
    case 'o':
        return out_unsigned(o, sp, arg_unsigned(a, sp->size), *conv);
    case 'p':
        return out_number(o, sp, "0x", (uintptr_t)va_arg(a->ap, void *), 16, false);
    case 's':
        return out_string(o, sp, va_arg(a->ap, const char *));
    case 'e':
        return out_error(o, sp, va_arg(a->ap, int));
    case 'c':
        c = va_arg(a->ap, int);
        return out_padded(o, sp, &c, 1);
    case '%':
        return o->putch('%', o->arg);
    default:
        return out_text(o, start, conv - start + (*conv != '\0'));
    }
}

void vprintfmt(void (*putch)(int c, void *arg), void *arg, const char *fmt, va_list ap)
{
    struct Out out = { putch, arg };
    struct Args args;

    va_copy(args.ap, ap);
    while (*fmt) {
        if (*fmt != '%') {
            putch((unsigned char)*fmt++, arg);
            continue;
        }
        struct Spec sp = { 0 };
        const char *f = parse_flags(fmt + 1, &sp);
        f = parse_width(f, &sp, &args);
        f = parse_length(f, &sp);
        convert(&out, fmt, f, &sp, &args);
        fmt = *f ? f + 1 : f;
    }
    va_end(args.ap);
}

void printfmt(void (*putch)(int c, void *arg), void *arg, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vprintfmt(putch, arg, fmt, ap);
    va_end(ap);
}

struct Membuf {
    char *buf;
    size_t size, len; /* len counts what did not fit as well */
};

static void mem_putch(int c, void *arg)
{
    struct Membuf *m = arg;
    if (m->len + 1 < m->size)
        m->buf[m->len] = c;
    m->len++;
}

/* As in C: at most size bytes with the NUL; returns the length the whole text has. */
int vsnprintf(char *buf, size_t size, const char *fmt, va_list ap)
{
    struct Membuf m = { buf, size, 0 };
    vprintfmt(mem_putch, &m, fmt, ap);
    if (size > 0)
        buf[MIN(m.len, size - 1)] = '\0';
    return m.len;
}

int snprintf(char *buf, size_t size, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(buf, size, fmt, ap);
    va_end(ap);
    return n;
}
