/*
 * Waiting for another CPU. That one may wait for a flush of this one's translations meanwhile, so
 * every loop that waits serves such requests.
 */
#include <inc/x86.h>
#include <kern/cpu.h>
#include <kern/flush.h>
#include <kern/hooks.h>

#define LONG_WAIT (1u << 20) /* turns */

static void (*on_long_wait)(void);

void cpu_on_long_wait(void (*fn)(void))
{
    on_long_wait = fn;
}

void cpu_flush_poll(void)
{
    struct Cpu *c = this_cpu();
    uint32_t req = c->cpu_flush_req;

    if (req == c->cpu_flush_done)
        return;
    lcr3(rcr3());
    if (guest_hooks.put_down)
        guest_hooks.put_down();
    __atomic_store_n(&c->cpu_flush_done, req, __ATOMIC_RELEASE);
}

void cpu_wait_a_turn(uint32_t *turns)
{
    cpu_flush_poll();
    cpu_pause();
    if (++*turns % LONG_WAIT == 0 && on_long_wait)
        on_long_wait();
}
