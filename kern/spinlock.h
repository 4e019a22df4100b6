/*
 * Spin locks. The kernel runs with interrupts off, so a lock is never taken by an interrupt on the
 * same CPU. doc/internals.md has the table of which lock protects what and the order they are taken
 * in.
 */
#ifndef JOS_KERN_SPINLOCK_H
#define JOS_KERN_SPINLOCK_H

#include <inc/x86.h>

struct spinlock {
    volatile uint32_t locked;
    const char *name;
};

#define SPINLOCK_INIT(n)         \
    {                            \
        .locked = 0, .name = (n) \
    }

/* Take a lock that somebody holds; serves other CPUs' flush requests meanwhile, since
 * their senders may be the holder. */
void spin_lock_wait(struct spinlock *l) __attribute__((cold));

ALWAYS_INLINE void spin_lock(struct spinlock *l)
{
    if (__builtin_expect(__atomic_exchange_n(&l->locked, 1, __ATOMIC_ACQUIRE), 0))
        spin_lock_wait(l);
}

/* true: it was free, and is the caller's now. */
ALWAYS_INLINE bool spin_trylock(struct spinlock *l)
{
    return !__atomic_exchange_n(&l->locked, 1, __ATOMIC_ACQUIRE);
}

ALWAYS_INLINE void spin_unlock(struct spinlock *l)
{
    __atomic_store_n(&l->locked, 0, __ATOMIC_RELEASE);
}

#endif
