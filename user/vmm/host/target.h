/*
 * What takes inputs: the name is libFuzzer's, which can be the one that gives them; replay.c is
 * another one.
 */
#ifndef JOS_USER_VMM_HOST_TARGET_H
#define JOS_USER_VMM_HOST_TARGET_H

#include <inc/types.h>

/* Do what the bytes say, and abort, after a sentence, if something does not hold. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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

/* Stop here: this input has shown a fault. */
#define HOLDS(what, ...)                                                         \
    do {                                                                         \
        if (!(what)) {                                                           \
            fprintf(stderr, "%s:%d: not true: %s: ", __FILE__, __LINE__, #what); \
            fprintf(stderr, __VA_ARGS__);                                        \
            fputc('\n', stderr);                                                 \
            abort();                                                             \
        }                                                                        \
    } while (0)

#endif
