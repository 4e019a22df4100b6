/*
 * irq-flood: self-IPIs of all vectors at once, many times, each delivered exactly once; then a
 * timer so fast that it is always due, with interrupts on and off: the guest still comes to its
 * end, and the timer's interrupts keep a distance that leaves it most of its time.
 */
#include "rt.h"

const char guest_name[] = "irq-flood";

#define FIRST 32
#define LAPS  20
#define TIMER 0x40

#define FLOOR_US 200 /* between two interrupts of the fastest timer, or more under a slow host */
#define FLOORS   20
#define WAITS    1000000000ul /* ticks until a timer that never came is given up */

static volatile uint64_t count[256];

static void on_irq(struct Trapframe *tf)
{
    count[tf->tf_trapno]++;
    wrmsr(X2APIC_EOI, 0);
}

static void try_vectors(void)
{
    for (unsigned lap = 0; lap < LAPS; lap++) {
        for (unsigned v = FIRST; v < 256; v++)
            wrmsr(X2APIC_SELF, v);
        asm volatile("sti; nop; cli");
        for (unsigned i = 0; i < 16; i++)
            asm volatile("sti; nop; nop; cli");
    }
    for (unsigned v = FIRST; v < 256; v++)
        check(count[v] == LAPS, "vector %u came %lu times", v, count[v]);
}

static void try_timer(void)
{
    uint64_t before = count[TIMER];
    wrmsr(X2APIC_DIVIDE, DIVIDE_BY_1);
    wrmsr(X2APIC_LVT_TIMER, TIMER | LVT_PERIODIC);
    wrmsr(X2APIC_INITCNT, 1);
    uint64_t end = read_tsc() + WAITS;
    while (count[TIMER] == before && read_tsc() < end)
        asm volatile("sti; nop; cli" ::: "memory");
    wrmsr(X2APIC_LVT_TIMER, LVT_MASKED);
    check(count[TIMER] > before, "the timer never came");
}

/* The main loop counts how far it comes while the fastest timer interrupts it so many times. */
static void try_progress(void)
{
    uint64_t khz = cpuid(HV_CPUID_TIMING, 0).eax, rounds = 0;
    wrmsr(X2APIC_LVT_TIMER, TIMER | LVT_PERIODIC);
    wrmsr(X2APIC_INITCNT, 1);
    count[TIMER] = 0;
    uint64_t start = read_tsc(), now = start;
    asm volatile("sti");
    for (; count[TIMER] < FLOORS && now < start + WAITS; rounds++)
        now = read_tsc();
    asm volatile("cli");
    uint64_t ticks = read_tsc() - start, came = count[TIMER];
    wrmsr(X2APIC_LVT_TIMER, LVT_MASKED);
    uint64_t most = ticks / (FLOOR_US * khz / 1000) + 1;
    check(came >= 1 && came <= most, "%lu interrupts in %lu ticks, not 1 to %lu", came, ticks,
          most);
    check(rounds > 2 * came, "the main loop came to %lu rounds only in %lu interrupts", rounds,
          came);
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    if (!apic_enable())
        return check_result();
    for (unsigned v = FIRST; v < 256; v++)
        trap_handlers[v] = on_irq;
    trying("all vectors at once, %u times", LAPS);
    try_vectors();
    trying("a timer that is always due");
    try_timer();
    trying("to go on beside it");
    try_progress();
    return check_result();
}
