/*
 * String and memory functions for the kernel and for user programs. The block functions use the
 * string instructions: one iteration moves eight bytes, and there is no loop around them.
 */
#include <inc/string.h>

#define WORD sizeof(uint64_t)

size_t strlen(const char *s)
{
    const char *p = s;
    while (*p)
        p++;
    return p - s;
}

size_t strnlen(const char *s, size_t max)
{
    size_t n = 0;
    while (n < max && s[n])
        n++;
    return n;
}

char *strcpy(char *dst, const char *src)
{
    memcpy(dst, src, strlen(src) + 1);
    return dst;
}

char *strncpy(char *dst, const char *src, size_t n)
{
    size_t len = strnlen(src, n);
    memcpy(dst, src, len);
    memset(dst + len, 0, n - len);
    return dst;
}

char *strcat(char *dst, const char *src)
{
    strcpy(dst + strlen(dst), src);
    return dst;
}

size_t strlcpy(char *dst, const char *src, size_t size)
{
    size_t len = strlen(src);
    if (size == 0)
        return len;
    size_t n = MIN(len, size - 1);
    memcpy(dst, src, n);
    dst[n] = '\0';
    return len;
}

int strcmp(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return (unsigned char)*a - (unsigned char)*b;
}

int strncmp(const char *a, const char *b, size_t n)
{
    for (; n > 0; n--, a++, b++)
        if (*a != *b || *a == '\0')
            return (unsigned char)*a - (unsigned char)*b;
    return 0;
}

char *strfind(const char *s, char c)
{
    while (*s && *s != c)
        s++;
    return (char *)s;
}

char *strchr(const char *s, int c)
{
    char *p = strfind(s, c);
    return *p == (char)c ? p : NULL;
}

char *strrchr(const char *s, int c)
{
    for (const char *p = s + strlen(s);; p--) {
        if (*p == (char)c)
            return (char *)p;
        if (p == s)
            return NULL;
    }
}

char *strstr(const char *s, const char *sub)
{
    size_t len = strlen(sub);
    for (; *s || len == 0; s++)
        if (strncmp(s, sub, len) == 0)
            return (char *)s;
    return NULL;
}

void *memset(void *dst, int c, size_t n)
{
    uint64_t fill = (unsigned char)c * 0x0101010101010101ul;
    void *p = dst;
    size_t words = n / WORD, rest = n % WORD;

    asm volatile("rep stosq" : "+D"(p), "+c"(words) : "a"(fill) : "memory");
    asm volatile("rep stosb" : "+D"(p), "+c"(rest) : "a"(fill) : "memory");
    return dst;
}

void *memcpy(void *dst, const void *src, size_t n)
{
    void *d = dst;
    size_t words = n / WORD, rest = n % WORD;

    asm volatile("rep movsq" : "+D"(d), "+S"(src), "+c"(words) : : "memory");
    asm volatile("rep movsb" : "+D"(d), "+S"(src), "+c"(rest) : : "memory");
    return dst;
}

/* Copy towards lower addresses, the odd bytes at the end first. */
static void copy_backward(char *dst, const char *src, size_t n)
{
    size_t words = n / WORD, rest = n % WORD;
    char *d = dst + n - 1;
    const char *s = src + n - 1;

    asm volatile("std; rep movsb" : "+D"(d), "+S"(s), "+c"(rest) : : "memory", "cc");
    d -= WORD - 1;
    s -= WORD - 1;
    asm volatile("rep movsq; cld" : "+D"(d), "+S"(s), "+c"(words) : : "memory", "cc");
}

void *memmove(void *dst, const void *src, size_t n)
{
    if ((uintptr_t)dst - (uintptr_t)src >= n)
        return memcpy(dst, src, n);
    copy_backward(dst, src, n);
    return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const unsigned char *p = a, *q = b;
    uint64_t x, y;

    for (; n >= WORD; n -= WORD, p += WORD, q += WORD) {
        __builtin_memcpy(&x, p, WORD);
        __builtin_memcpy(&y, q, WORD);
        if (x != y)
            break;
    }
    for (; n > 0; n--, p++, q++)
        if (*p != *q)
            return *p - *q;
    return 0;
}

void *memchr(const void *s, int c, size_t n)
{
    for (const unsigned char *p = s; n > 0; n--, p++)
        if (*p == (unsigned char)c)
            return (void *)p;
    return NULL;
}

/* Value of a digit in bases up to 36; 36 if c is not a digit. */
static unsigned digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'Z')
        return c - 'A' + 10;
    return 36;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Skip a 0x prefix where the base allows it, and choose the base if it is 0. */
static const char *skip_prefix(const char *s, unsigned *base)
{
    bool hex = s[0] == '0' && (s[1] == 'x' || s[1] == 'X') && digit_value(s[2]) < 16;
    if (hex && (*base == 0 || *base == 16)) {
        *base = 16;
        return s + 2;
    }
    if (*base == 0)
        *base = s[0] == '0' ? 8 : 10;
    return s;
}

/* Parse an optional sign and digits. More than max becomes max; *neg is set for a minus sign, but
 * not if that happened to the largest number there is. */
static unsigned long parse_number(const char *s, char **end, unsigned base, unsigned long max,
                                  bool *neg)
{
    const char *start = s;
    while (is_space(*s))
        s++;
    *neg = *s == '-';
    if (*s == '-' || *s == '+')
        s++;
    s = skip_prefix(s, &base);

    unsigned long value = 0;
    const char *digits = s;
    bool over = false;
    for (unsigned d; (d = digit_value(*s)) < base; s++) {
        over |= value > (max - d) / base;
        value = value * base + d;
    }
    if (end)
        *end = (char *)(s == digits ? start : s);
    *neg &= !over || max != ~0ul;
    return over ? max : value;
}

unsigned long strtoul(const char *s, char **end, int base)
{
    bool neg;
    unsigned long value = parse_number(s, end, base, ~0ul, &neg);
    return neg ? -value : value;
}

long strtol(const char *s, char **end, int base)
{
    const unsigned long long_max = ~0ul >> 1;
    bool neg;
    unsigned long value = parse_number(s, end, base, long_max + 1, &neg);
    if (neg)
        return -value;
    return MIN(value, long_max);
}
