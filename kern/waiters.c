/*
 * Waiting for console input and for interrupt lines: who is woken by what comes from outside. Such
 * envs run at once (sched_wake_at_once), since a person or a device waits for them.
 */
#include <inc/error.h>
#include <kern/cpu.h>
#include <kern/dev/console.h>
#include <kern/env.h>
#include <kern/sched.h>
#include <kern/spinlock.h>
#include <kern/waiters.h>

#define NIRQ (IRQ_MSI + NMSI)

/* A bit for each env that may wait for console input; atomic. Whoever is woken by something else
 * keeps its bit. */
static uint64_t console_waiters[NENV / 64];
static struct spinlock irq_lock = SPINLOCK_INIT("interrupt waiters");
static struct Env *irq_waiter[NIRQ]; /* under irq_lock */
static bool irq_pending[NIRQ];       /* likewise */

void sched_forget(struct Env *e)
{
    if (e->env_wake_tsc)
        sched_timer_remove(e);
    spin_lock(&irq_lock);
    for (int i = 0; i < NIRQ; i++)
        if (irq_waiter[i] == e)
            irq_waiter[i] = NULL;
    spin_unlock(&irq_lock);
}

/* Whoever adds to the input takes the bits afterwards, then locks each env, as it is now. So either
 * the input is seen here, or the bit there; and if the bit was there, e is seen to wait. */
bool sched_wait_console(struct Env *e)
{
    uint32_t n = ENVX(e->env_id);
    uint64_t *word = &console_waiters[n / 64], bit = 1ul << n % 64;

    if (!(READ_ONCE(*word) & bit))
        __atomic_fetch_or(word, bit, __ATOMIC_SEQ_CST);
    return !cons_has_input();
}

static void wake_from_console(struct Env *e)
{
    env_lock(e);
    if (e->env_wait == WAIT_CONS || (e->env_wait == WAIT_GUEST && e->env_wait_arg))
        sched_wake_at_once(e);
    env_unlock(e);
}

void sched_wake_console(void)
{
    __atomic_thread_fence(__ATOMIC_SEQ_CST); /* the input first, then the bits */
    for (size_t i = 0; i < ARRAY_SIZE(console_waiters); i++) {
        if (!READ_ONCE(console_waiters[i]))
            continue;
        uint64_t bits = __atomic_exchange_n(&console_waiters[i], 0, __ATOMIC_SEQ_CST);
        for (; bits; bits &= bits - 1)
            wake_from_console(&envs[i * 64 + __builtin_ctzll(bits)]);
    }
}

/* The waiter for this line, whose interrupt has come: it is noted until somebody asks for it. */
static struct Env *note_irq(int irq)
{
    struct Env *e;

    spin_lock(&irq_lock);
    e = irq_waiter[irq];
    irq_waiter[irq] = NULL;
    irq_pending[irq] = true;
    spin_unlock(&irq_lock);
    return e;
}

/* Has it come since somebody last asked? */
static bool take_irq(int irq)
{
    bool pending;

    spin_lock(&irq_lock);
    pending = irq_pending[irq];
    irq_pending[irq] = false;
    spin_unlock(&irq_lock);
    return pending;
}

void sched_wake_irq(int irq)
{
    struct Env *e = note_irq(irq);

    if (!e)
        return;
    env_lock(e);
    /* Otherwise its deadline has come first. */
    if (e->env_wait == WAIT_IRQ && e->env_wait_arg == (uintptr_t)irq && take_irq(irq)) {
        e->env_tf.tf_rax = 0;
        sched_wake_at_once(e);
    }
    env_unlock(e);
}

/* false: it has come already. */
static bool await_irq(int irq)
{
    bool pending;

    spin_lock(&irq_lock);
    pending = irq_pending[irq];
    irq_pending[irq] = false;
    irq_waiter[irq] = pending ? NULL : curenv;
    spin_unlock(&irq_lock);
    return !pending;
}

int sched_wait_irq(int irq, uint64_t deadline)
{
    struct Env *e = curenv;

    env_lock(e);
    if (!await_irq(irq)) {
        env_unlock(e);
        return 0;
    }
    e->env_wait_arg = irq;
    e->env_tf.tf_rax = -E_AGAIN;
    sched_block(WAIT_IRQ, deadline);
    env_unlock(e);
    sched_yield();
}
