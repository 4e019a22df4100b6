/*
 * Requests to other CPUs: to flush translations, or to look at the run queue.
 */
#include <inc/x86.h>
#include <kern/cpu.h>
#include <kern/dev/lapic.h>
#include <kern/flush.h>
#include <kern/ipi.h>

void cpu_flush_remote(struct Cpu *c)
{
    uint32_t req = __atomic_add_fetch(&c->cpu_flush_req, 1, __ATOMIC_SEQ_CST), turns = 0;

    lapic_send_ipi(c->cpu_apicid, T_IPI_FLUSH);
    while ((int32_t)(c->cpu_flush_done - req) < 0)
        cpu_wait_a_turn(&turns);
}

void cpu_kick(struct Cpu *c)
{
    if (c != this_cpu())
        lapic_send_ipi(c->cpu_apicid, T_IPI_KICK);
}
