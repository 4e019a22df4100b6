/*
 * Copying, filling and comparing memory, a dword at a time: kernels are large, and each step of a
 * string instruction counts as an instruction under Bochs.
 */
#include <boot/loader.h>

void *memcpy(void *dst, const void *src, size_t n)
{
    void *d = dst;
    size_t dwords = n / 4, bytes = n % 4;

    asm volatile("rep movsl" : "+D"(d), "+S"(src), "+c"(dwords) : : "memory");
    asm volatile("rep movsb" : "+D"(d), "+S"(src), "+c"(bytes) : : "memory");
    return dst;
}

void *memset(void *dst, int c, size_t n)
{
    void *d = dst;
    uint32_t fill = (uint8_t)c * 0x01010101u;
    size_t dwords = n / 4, bytes = n % 4;

    asm volatile("rep stosl" : "+D"(d), "+c"(dwords) : "a"(fill) : "memory");
    asm volatile("rep stosb" : "+D"(d), "+c"(bytes) : "a"(fill) : "memory");
    return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const uint8_t *p = a, *q = b;

    for (; n > 0; n--, p++, q++) {
        if (*p != *q)
            return *p - *q;
    }
    return 0;
}
