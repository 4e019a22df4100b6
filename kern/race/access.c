/*
 * What the compiler calls: with -fsanitize=thread, a function of the __tsan_ family before each
 * load and store (volatile ones have functions of their own), and instead of each atomic builtin.
 * The linker sends calls of the block functions here, too (--wrap), since lib/string.c does them in
 * assembly.
 */
#include <inc/string.h>
#include <kern/dev/console.h>
#include <kern/platform.h>
#include <kern/race/race.h>

#define FRAME ((const uint64_t *)__builtin_frame_address(0))

/* ---- Loads and stores ---- */

#define ACCESS(name, bytes, kind)                         \
    void __tsan_##name(void *p);                          \
    void __tsan_##name(void *p)                           \
    {                                                     \
        race_access((uint64_t)p, (bytes), (kind), FRAME); \
    }
#define ACCESSES(n)                                        \
    ACCESS(read##n, n, 0)                                  \
    ACCESS(write##n, n, RACE_WRITE)                        \
    ACCESS(read_write##n, n, RACE_WRITE)                   \
    ACCESS(unaligned_read##n, n, 0)                        \
    ACCESS(unaligned_write##n, n, RACE_WRITE)              \
    ACCESS(unaligned_read_write##n, n, RACE_WRITE)         \
    ACCESS(volatile_read##n, n, RACE_MARKED)               \
    ACCESS(volatile_write##n, n, RACE_WRITE | RACE_MARKED) \
    ACCESS(unaligned_volatile_read##n, n, RACE_MARKED)     \
    ACCESS(unaligned_volatile_write##n, n, RACE_WRITE | RACE_MARKED)
ACCESSES(1)
ACCESSES(2)
ACCESSES(4)
ACCESSES(8)
ACCESSES(16)

void __tsan_read_range(void *p, size_t n);
void __tsan_read_range(void *p, size_t n)
{
    race_access((uint64_t)p, n, 0, FRAME);
}

void __tsan_write_range(void *p, size_t n);
void __tsan_write_range(void *p, size_t n)
{
    race_access((uint64_t)p, n, RACE_WRITE, FRAME);
}

/* Asked for by the compiler, of no use here. */
void __tsan_init(void);
void __tsan_init(void)
{
}

void __tsan_func_entry(void *caller);
void __tsan_func_entry(void *caller)
{
    (void)caller;
}

void __tsan_func_exit(void);
void __tsan_func_exit(void)
{
}

/* ---- Locks ---- */

/*
 * Which locks a CPU holds is told by how kern/spinlock.h takes and releases them: an exchange with
 * 1 that finds 0, and a store of 0. A report says which they were, and is not printed while there
 * are any: one of them may be the console's.
 */
static void lock_taken(const volatile void *lock)
{
    struct RaceCpu *me = race_cpu(__builtin_frame_address(0));

    if (!me || me->busy)
        return;
    if (me->nlocks < RACE_LOCKS)
        me->locks[me->nlocks] = (const struct spinlock *)lock;
    me->nlocks++;
}

static void lock_released(const volatile void *lock)
{
    struct RaceCpu *me = race_cpu(__builtin_frame_address(0));

    if (!me || me->busy)
        return;
    for (uint32_t i = 0; i < MIN(me->nlocks, RACE_LOCKS); i++) {
        if (me->locks[i] != lock)
            continue;
        me->locks[i] = me->locks[MIN(me->nlocks, RACE_LOCKS) - 1];
        me->nlocks--;
        return;
    }
}

/* ---- Atomic operations: all in the strictest order, whichever was asked for ---- */

#define ORDER         __ATOMIC_SEQ_CST
#define MARK(p, kind) race_access((uint64_t)(p), sizeof(*(p)), RACE_MARKED | (kind), FRAME)

#define ATOMIC_RMW(bits, name, builtin)                                                       \
    uint##bits##_t __tsan_atomic##bits##_##name(volatile uint##bits##_t *p, uint##bits##_t v, \
                                                int order);                                   \
    uint##bits##_t __tsan_atomic##bits##_##name(volatile uint##bits##_t *p, uint##bits##_t v, \
                                                int order)                                    \
    {                                                                                         \
        (void)order;                                                                          \
        MARK(p, RACE_WRITE);                                                                  \
        return builtin(p, v, ORDER);                                                          \
    }

#define ATOMIC_CAS(bits, name)                                                         \
    bool __tsan_atomic##bits##_##name(volatile uint##bits##_t *p, uint##bits##_t *old, \
                                      uint##bits##_t v, int order, int failed);        \
    bool __tsan_atomic##bits##_##name(volatile uint##bits##_t *p, uint##bits##_t *old, \
                                      uint##bits##_t v, int order, int failed)         \
    {                                                                                  \
        (void)order, (void)failed;                                                     \
        MARK(p, RACE_WRITE);                                                           \
        return __atomic_compare_exchange_n(p, old, v, false, ORDER, ORDER);            \
    }

#define ATOMICS(bits)                                                                             \
    uint##bits##_t __tsan_atomic##bits##_load(const volatile uint##bits##_t *p, int order);       \
    uint##bits##_t __tsan_atomic##bits##_load(const volatile uint##bits##_t *p, int order)        \
    {                                                                                             \
        (void)order;                                                                              \
        MARK(p, 0);                                                                               \
        return __atomic_load_n(p, ORDER);                                                         \
    }                                                                                             \
    void __tsan_atomic##bits##_store(volatile uint##bits##_t *p, uint##bits##_t v, int order);    \
    void __tsan_atomic##bits##_store(volatile uint##bits##_t *p, uint##bits##_t v, int order)     \
    {                                                                                             \
        (void)order;                                                                              \
        MARK(p, RACE_WRITE);                                                                      \
        __atomic_store_n(p, v, ORDER);                                                            \
        if (v == 0)                                                                               \
            lock_released(p);                                                                     \
    }                                                                                             \
    uint##bits##_t __tsan_atomic##bits##_exchange(volatile uint##bits##_t *p, uint##bits##_t v,   \
                                                  int order);                                     \
    uint##bits##_t __tsan_atomic##bits##_exchange(volatile uint##bits##_t *p, uint##bits##_t v,   \
                                                  int order)                                      \
    {                                                                                             \
        (void)order;                                                                              \
        MARK(p, RACE_WRITE);                                                                      \
        uint##bits##_t old = __atomic_exchange_n(p, v, ORDER);                                    \
        if (old == 0 && v == 1)                                                                   \
            lock_taken(p);                                                                        \
        return old;                                                                               \
    }                                                                                             \
    ATOMIC_RMW(bits, fetch_add, __atomic_fetch_add)                                               \
    ATOMIC_RMW(bits, fetch_sub, __atomic_fetch_sub)                                               \
    ATOMIC_RMW(bits, fetch_and, __atomic_fetch_and)                                               \
    ATOMIC_RMW(bits, fetch_or, __atomic_fetch_or)                                                 \
    ATOMIC_RMW(bits, fetch_xor, __atomic_fetch_xor)                                               \
    ATOMIC_RMW(bits, fetch_nand, __atomic_fetch_nand)                                             \
    ATOMIC_CAS(bits, compare_exchange_strong)                                                     \
    ATOMIC_CAS(bits, compare_exchange_weak)                                                       \
    uint##bits##_t __tsan_atomic##bits##_compare_exchange_val(                                    \
        volatile uint##bits##_t *p, uint##bits##_t old, uint##bits##_t v, int order, int failed); \
    uint##bits##_t __tsan_atomic##bits##_compare_exchange_val(                                    \
        volatile uint##bits##_t *p, uint##bits##_t old, uint##bits##_t v, int order, int failed)  \
    {                                                                                             \
        (void)order, (void)failed;                                                                \
        MARK(p, RACE_WRITE);                                                                      \
        __atomic_compare_exchange_n(p, &old, v, false, ORDER, ORDER);                             \
        return old;                                                                               \
    }
ATOMICS(8)
ATOMICS(16)
ATOMICS(32)
ATOMICS(64)

void __tsan_atomic_thread_fence(int order);
void __tsan_atomic_thread_fence(int order)
{
    (void)order;
    __atomic_thread_fence(ORDER);
}

void __tsan_atomic_signal_fence(int order);
void __tsan_atomic_signal_fence(int order)
{
    (void)order;
}

/* ---- Block functions ---- */

void *__real_memcpy(void *dst, const void *src, size_t n);
void *__real_memmove(void *dst, const void *src, size_t n);
void *__real_memset(void *dst, int c, size_t n);
void *__wrap_memcpy(void *dst, const void *src, size_t n);
void *__wrap_memmove(void *dst, const void *src, size_t n);
void *__wrap_memset(void *dst, int c, size_t n);

void *__wrap_memcpy(void *dst, const void *src, size_t n)
{
    race_access((uint64_t)src, n, 0, FRAME);
    race_access((uint64_t)dst, n, RACE_WRITE, FRAME);
    return __real_memcpy(dst, src, n);
}

void *__wrap_memmove(void *dst, const void *src, size_t n)
{
    race_access((uint64_t)src, n, 0, FRAME);
    race_access((uint64_t)dst, n, RACE_WRITE, FRAME);
    return __real_memmove(dst, src, n);
}

void *__wrap_memset(void *dst, int c, size_t n)
{
    race_access((uint64_t)dst, n, RACE_WRITE, FRAME);
    return __real_memset(dst, c, n);
}

/* Newer compilers call these instead. */
void *__tsan_memcpy(void *dst, const void *src, size_t n) __attribute__((alias("__wrap_memcpy")));
void *__tsan_memmove(void *dst, const void *src, size_t n) __attribute__((alias("__wrap_memmove")));
void *__tsan_memset(void *dst, int c, size_t n) __attribute__((alias("__wrap_memset")));
