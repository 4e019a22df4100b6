/*
 * What takes inputs: the name is libFuzzer's, which can be the one that gives them; replay.c is
 * another one. Nothing of the build machine's C library is declared here, since some targets are
 * compiled with that of hOS.
 */
#ifndef JOS_USER_VMM_HOST_TARGET_H
#define JOS_USER_VMM_HOST_TARGET_H

#include <inc/types.h>

/* Do what the bytes say, and end, after a sentence, if something does not hold. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
/* Before all inputs, with main's arguments; a target may do without. Returns 0. */
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* The input, taken a piece after another; zeroes after its end. */
struct Input {
    const uint8_t *data;
    size_t size;
};

static inline uint64_t input_take(struct Input *in, unsigned bytes)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes && in->size > 0; i++, in->size--)
        v |= (uint64_t)*in->data++ << 8 * i;
    return v;
}

/* Read all of it, so that a sanitizer sees what is not there. */
void target_look_at(const void *p, size_t n);

/* Say where and what, and abort: this input has shown a fault. */
void target_failed(const char *file, int line, const char *what, const char *fmt, ...)
    __attribute__((format(__printf__, 4, 5), noreturn));
#define HOLDS(what, ...)                                           \
    do {                                                           \
        if (!(what))                                               \
            target_failed(__FILE__, __LINE__, #what, __VA_ARGS__); \
    } while (0)

#endif
