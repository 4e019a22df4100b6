/*
 * The slow way to a spin lock.
 */
#include <inc/x86.h>
#include <kern/flush.h>
#include <kern/spinlock.h>

void spin_lock_wait(struct spinlock *l)
{
    uint32_t turns = 0;

    do
        cpu_wait_a_turn(&turns);
    while (l->locked || __atomic_exchange_n(&l->locked, 1, __ATOMIC_ACQUIRE));
}
