/*
 * Basic types and helpers for kernel and user code. Relies only on the
 * freestanding headers that every C compiler brings along.
 */
#ifndef JOS_INC_TYPES_H
#define JOS_INC_TYPES_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef int64_t ssize_t;
typedef int64_t off_t;
typedef uint64_t physaddr_t; /* host physical address */
typedef uint64_t gpa_t;      /* guest physical address */
typedef uint64_t ppn_t;      /* physical page number */
typedef int32_t envid_t;     /* environment id: 0 = "myself", negative = error */

#define MIN(a, b)                           \
    ({                                      \
        typeof(a) min_a_ = (a);             \
        typeof(b) min_b_ = (b);             \
        min_a_ <= min_b_ ? min_a_ : min_b_; \
    })
#define MAX(a, b)                           \
    ({                                      \
        typeof(a) max_a_ = (a);             \
        typeof(b) max_b_ = (b);             \
        max_a_ >= max_b_ ? max_a_ : max_b_; \
    })

/* For the few functions on the shortest paths, which the compiler would not expand by itself. */
#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* Round to a multiple of n, which is a power of two. */
#define ROUNDDOWN(a, n)       ((typeof(a))((uint64_t)(a) & ~((uint64_t)(n)-1)))
#define ROUNDUP(a, n)         ((typeof(a))(((uint64_t)(a) + (uint64_t)(n)-1) & ~((uint64_t)(n)-1)))
#define ARRAY_SIZE(a)         (sizeof(a) / sizeof((a)[0]))
#define container_of(p, t, m) ((t *)((char *)(p)-offsetof(t, m)))

#endif
