/*
 * timer: interrupts of the local APIC in x2APIC mode: timer one-shot, periodic and by TSC deadline,
 * the self-IPI in both forms, and the task priority that holds one back. Each arrives as often as
 * it should. With the word "bare" it passes over what Bochs' machine does not do: a deadline that
 * is over stays in its MSR there, and does not move with the TSC.
 */
#include "rt.h"

const char guest_name[] = "timer";

#define VEC_TIMER 0x30
#define VEC_IPI   0x41
#define COUNT     100000
#define PERIODS   5
#define FAR_AWAY  (1ul << 50)
#define NAP       2000000 /* TSC ticks in which nothing more may come */

static volatile unsigned timers, ipis;

static void on_timer(struct Trapframe *tf)
{
    (void)tf;
    timers++;
    wrmsr(X2APIC_EOI, 0);
}

static void on_ipi(struct Trapframe *tf)
{
    (void)tf;
    ipis++;
    wrmsr(X2APIC_EOI, 0);
}

/* Sleep until the counter has this value. sti; hlt cannot miss an interrupt. */
static void wait_for(volatile unsigned *counter, unsigned value)
{
    while (*counter < value)
        asm volatile("sti; hlt; cli" ::: "memory");
}

static void spin_open(uint64_t ticks)
{
    uint64_t until = read_tsc() + ticks;
    asm volatile("sti");
    while (read_tsc() < until)
        cpu_pause();
    asm volatile("cli");
}

static void try_one_shot(void)
{
    trying("a one-shot timer");
    timers = 0;
    wrmsr(X2APIC_LVT_TIMER, VEC_TIMER);
    wrmsr(X2APIC_INITCNT, COUNT);
    uint64_t left = rdmsr(X2APIC_CURCNT);
    check(left > 0 && left <= COUNT, "the current count is %lu at the start", left);
    wait_for(&timers, 1);
    check(rdmsr(X2APIC_CURCNT) == 0, "the current count is %lu at the end", rdmsr(X2APIC_CURCNT));
    spin_open(NAP);
    check(timers == 1, "%u interrupts, not 1", timers);
}

static void try_periodic(void)
{
    trying("a periodic timer");
    timers = 0;
    wrmsr(X2APIC_LVT_TIMER, VEC_TIMER | LVT_PERIODIC);
    wrmsr(X2APIC_INITCNT, COUNT);
    wait_for(&timers, PERIODS);
    wrmsr(X2APIC_INITCNT, 0);
    spin_open(NAP); /* one may be on its way */
    unsigned seen = timers;
    spin_open(NAP);
    check(timers == seen, "interrupts after the timer was stopped");
}

static void try_masked(void)
{
    trying("a masked timer");
    timers = 0;
    wrmsr(X2APIC_LVT_TIMER, VEC_TIMER | LVT_MASKED);
    wrmsr(X2APIC_INITCNT, COUNT);
    spin_open(NAP);
    check(timers == 0, "%u interrupts, not 0", timers);
}

static void try_deadline(void)
{
    if (!(cpuid(1, 0).ecx & CPUID1_ECX_DEADLINE)) {
        print("timer: no TSC deadline on this CPU\n");
        return;
    }
    trying("a TSC deadline");
    timers = 0;
    wrmsr(X2APIC_LVT_TIMER, VEC_TIMER | LVT_DEADLINE);
    uint64_t deadline = read_tsc() + COUNT;
    wrmsr(MSR_TSC_DEADLINE, deadline);
    check(rdmsr(MSR_TSC_DEADLINE) == deadline || read_tsc() >= deadline, "the deadline reads 0x%lx",
          rdmsr(MSR_TSC_DEADLINE));
    wait_for(&timers, 1);
    check(read_tsc() >= deadline, "it came too early");
    check(cmdline_has("bare") || rdmsr(MSR_TSC_DEADLINE) == 0, "the deadline stays");
    wrmsr(MSR_TSC_DEADLINE, 1); /* long past: at once */
    wait_for(&timers, 2);
    wrmsr(MSR_TSC_DEADLINE, read_tsc() + COUNT);
    wrmsr(MSR_TSC_DEADLINE, 0);
    spin_open(NAP);
    check(timers == 2, "%u interrupts, not 2", timers);
}

/* A deadline is a time on the guest's clock: it moves with it. */
static void try_clock_set(void)
{
    if (!(cpuid(1, 0).ecx & CPUID1_ECX_DEADLINE) || cmdline_has("bare"))
        return;
    trying("setting the TSC while a deadline is armed");
    timers = 0;
    wrmsr(X2APIC_LVT_TIMER, VEC_TIMER | LVT_DEADLINE);
    uint64_t start = read_tsc(), deadline = start + FAR_AWAY;
    wrmsr(MSR_TSC_DEADLINE, deadline);
    wrmsr(MSR_TSC, start + COUNT);
    check(rdmsr(MSR_TSC_DEADLINE) == deadline, "the deadline has become 0x%lx",
          rdmsr(MSR_TSC_DEADLINE));
    wrmsr(MSR_TSC, 2 * deadline);
    spin_open(NAP);
    check(timers == 1, "%u interrupts, not 1, after the deadline", timers);
}

static void try_self_ipi(void)
{
    trying("self-IPIs");
    ipis = 0;
    wrmsr(X2APIC_SELF, VEC_IPI);
    check(ipis == 0, "an interrupt while interrupts are off");
    wait_for(&ipis, 1);
    wrmsr(X2APIC_ICR, ICR_SELF | VEC_IPI);
    wait_for(&ipis, 2);
    wrmsr(X2APIC_ICR, rdmsr(X2APIC_ID) << 32 | VEC_IPI);
    wait_for(&ipis, 3);
    spin_open(NAP);
    check(ipis == 3, "%u interrupts, not 3", ipis);
}

static void try_priority(void)
{
    trying("a task priority above the interrupt");
    ipis = 0;
    wrmsr(X2APIC_TPR, VEC_IPI & 0xf0);
    wrmsr(X2APIC_SELF, VEC_IPI);
    spin_open(NAP);
    check(ipis == 0, "the interrupt came through");
    check(rdmsr(X2APIC_IRR + VEC_IPI / 32) & 1u << VEC_IPI % 32, "it is not pending");
    wrmsr(X2APIC_TPR, 0);
    wait_for(&ipis, 1);

    asm volatile("movq %0, %%cr8" : : "r"((uint64_t)VEC_IPI >> 4));
    check(rdmsr(X2APIC_TPR) == (VEC_IPI & 0xf0), "CR8 makes TPR 0x%lx", rdmsr(X2APIC_TPR));
    wrmsr(X2APIC_SELF, VEC_IPI);
    spin_open(NAP);
    check(ipis == 1, "the interrupt came through CR8");
    asm volatile("movq %0, %%cr8" : : "r"(0ul));
    wait_for(&ipis, 2);
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    if (!apic_enable())
        return check_result();
    trap_handlers[VEC_TIMER] = on_timer;
    trap_handlers[VEC_IPI] = on_ipi;
    wrmsr(X2APIC_DIVIDE, DIVIDE_BY_1);
    try_one_shot();
    try_periodic();
    try_masked();
    try_deadline();
    try_clock_set();
    try_self_ipi();
    try_priority();
    return check_result();
}
