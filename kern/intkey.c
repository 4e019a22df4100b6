/*
 * The interrupt key, Ctrl-C. Envs claim it: a shell as an interrupt, while it waits for a pipeline;
 * whoever reads keys for itself or lends the console to a guest, as a character like others. The
 * last claim of an env that lives is the one that counts. So a shell within a shell, or a monitor
 * that is killed, need not know whose claim is in force again after it.
 *
 * The key itself ends nobody: it only ends the claimant's own wait.
 */
#include <inc/error.h>
#include <inc/syscall.h>
#include <kern/cpu.h>
#include <kern/env.h>
#include <kern/intkey.h>
#include <kern/sched.h>

/* Env.env_claim: the number of the claim, and what it is. */
#define CLAIM_SHIFT   1
#define CLAIM_INTR    (1 << 0) /* for an interrupt */
#define CLAIM_NUMBERS (1ul << CLAIM_SHIFT)

static uint64_t last_claim; /* atomic; the number is in the upper bits */

int64_t sys_cons_claim(uint32_t claim)
{
    struct Env *e = curenv;
    uint64_t value = 0;

    if (claim > CONS_CLAIM_INTERRUPT)
        return -E_INVAL;
    if (claim != CONS_CLAIM_NONE)
        value = __atomic_add_fetch(&last_claim, CLAIM_NUMBERS, __ATOMIC_RELAXED);
    if (claim == CONS_CLAIM_INTERRUPT)
        value |= CLAIM_INTR;
    env_lock(e);
    WRITE_ONCE(e->env_claim, value);
    WRITE_ONCE(e->env_interrupted, false);
    env_unlock(e);
    return 0;
}

/* Who has claimed the key for an interrupt: NULL if it is a character. Without locks. */
static struct Env *interrupt_claimant(void)
{
    struct Env *last = NULL;
    uint64_t most = 0;

    for (struct Env *e = envs; e < envs + NENV; e++) {
        uint64_t claim = READ_ONCE(e->env_claim);
        if (claim > most && env_is_alive(e)) {
            most = claim;
            last = e;
        }
    }
    return most & CLAIM_INTR ? last : NULL;
}

bool intkey_interrupts(void)
{
    return interrupt_claimant() != NULL;
}

void intkey_pressed(void)
{
    struct Env *e = interrupt_claimant();

    if (!e)
        return;
    env_lock(e);
    if (e->env_claim & CLAIM_INTR) { /* it has not changed meanwhile */
        WRITE_ONCE(e->env_interrupted, true);
        if (e->env_wait == WAIT_CHILD)
            sched_wake_at_once(e);
    }
    env_unlock(e);
}

bool intkey_take(void)
{
    struct Env *e = curenv;
    bool interrupted;

    if (!READ_ONCE(e->env_interrupted))
        return false;
    env_lock(e);
    interrupted = e->env_interrupted;
    WRITE_ONCE(e->env_interrupted, false);
    env_unlock(e);
    return interrupted;
}
