/*
 * More than one CPU: starting them (SDM "Multiple-Processor (MP) Initialization").
 */
#include <inc/stdio.h>
#include <inc/string.h>
#include <inc/x86.h>
#include <kern/cpu.h>
#include <kern/dev/acpi.h>
#include <kern/dev/clock.h>
#include <kern/dev/lapic.h>
#include <kern/dev/mptable.h>
#include <kern/flush.h>
#include <kern/gdb/stub.h>
#include <kern/kaddr.h>
#include <kern/mp.h>
#include <kern/pmap.h>
#include <kern/sched.h>

#define AP_START      0x8000 /* where kern/entry.S's real-mode code is copied to; below 1 MiB */
#define INIT_WAIT_US  10000
#define SIPI_WAIT_US  200
#define START_WAIT_MS 500

/* kern/entry.S */
extern const char ap_trampoline[], ap_trampoline_end[];
extern uint64_t ap_stack_top; /* of the CPU that is being started */
void ap_main(void) __attribute__((noreturn));

static struct Cpu *volatile starting;
static bool all_started; /* ncpu does not change any more; atomic */

static void wait_us(uint64_t us)
{
    uint64_t end = read_tsc() + us * tsc_khz / 1000;

    while (read_tsc() < end)
        cpu_pause();
}

/* First C code of an application processor, on its own kernel stack. */
void ap_main(void)
{
    struct Cpu *c = starting;

    lcr3(kern_cr3);
    cpu_init(c);
    lapic_init(false);
    gdb_cpu_start();
    cpu_load_cr3(kern_cr3);
    c->cpu_started = true;
    while (!__atomic_load_n(&all_started, __ATOMIC_ACQUIRE)) {
        cpu_flush_poll();
        cpu_pause();
    }
    sched_yield();
}

/* INIT, then up to two start-up IPIs, as the SDM has it. Returns whether the CPU came up. */
static bool start_cpu(struct Cpu *c)
{
    starting = c;
    ap_stack_top = (uint64_t)kstacks[c - cpus] + KSTACK_SIZE;
    lapic_send_init(c->cpu_apicid);
    wait_us(INIT_WAIT_US);
    for (int i = 0; i < 2 && !c->cpu_started; i++) {
        lapic_send_startup(c->cpu_apicid, AP_START >> PGSHIFT);
        wait_us(SIPI_WAIT_US);
    }
    for (int ms = 0; ms < START_WAIT_MS && !c->cpu_started; ms++)
        wait_us(1000);
    return c->cpu_started;
}

void mp_init(void)
{
    uint32_t ids[NCPU], boot = lapic_id();
    int n = acpi_cpus(ids, NCPU);

    if (n == 0)
        n = mptable_cpus(ids, NCPU);
    cpus[0].cpu_apicid = boot;
    /* The boot section is linked at its physical address. */
    memcpy(KADDR(AP_START), KADDR((physaddr_t)ap_trampoline), ap_trampoline_end - ap_trampoline);
    for (int i = 0; i < n && ncpu < NCPU; i++) {
        struct Cpu *c = &cpus[ncpu];
        if (ids[i] == boot)
            continue;
        c->cpu_apicid = ids[i];
        if (start_cpu(c))
            ncpu++;
        else
            cprintf("CPU with APIC id %u does not start; going on without it\n", ids[i]);
    }
    __atomic_store_n(&all_started, true, __ATOMIC_RELEASE);
}
