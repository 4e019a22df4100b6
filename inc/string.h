/*
 * String and memory functions of the C library that kernel and user code use. Behaviour is that of
 * ISO C and POSIX where the name is theirs.
 */
#ifndef JOS_INC_STRING_H
#define JOS_INC_STRING_H

#include "types.h"

size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
char *strcpy(char *dst, const char *src);
char *strncpy(char *dst, const char *src, size_t n);
char *strcat(char *dst, const char *src);
/* Copy at most size-1 bytes and terminate; returns strlen(src), so >= size means truncation. */
size_t strlcpy(char *dst, const char *src, size_t size);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
char *strrchr(const char *s, int c);
char *strstr(const char *s, const char *sub);
/* First character of s that is in chars, or the terminating NUL. */
char *strfind(const char *s, char c);

void *memset(void *dst, int c, size_t n);
void *memcpy(void *dst, const void *src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
int memcmp(const void *a, const void *b, size_t n);
void *memchr(const void *s, int c, size_t n);

/* Number in base 0 (by prefix), or 2 to 36. *end is where it stopped. Overflow saturates. */
long strtol(const char *s, char **end, int base);
unsigned long strtoul(const char *s, char **end, int base);

#endif
