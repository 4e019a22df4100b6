/*
 * Assertions for the project's own mistakes, never for anything a guest, a user or a disk can
 * cause.
 */
#ifndef JOS_INC_ASSERT_H
#define JOS_INC_ASSERT_H

/* Kernel: kern/panic.c. User: lib/panic.c. Neither returns. */
void panic_at(const char *file, int line, const char *fmt, ...) __attribute__((noreturn));

#define panic(...) panic_at(__FILE__, __LINE__, __VA_ARGS__)
#define assert(x)                              \
    do {                                       \
        if (!(x))                              \
            panic("assertion failed: %s", #x); \
    } while (0)

#endif
