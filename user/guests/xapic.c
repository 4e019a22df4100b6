/*
 * xapic: the local APIC in xAPIC mode, by its page: state after reset, what registers accept,
 * errors, priorities, logical destinations, interprocessor interrupts, the timer. With the word
 * "bare" it passes over what firmware changes before a kernel gets a machine.
 */
#include "rt.h"

const char guest_name[] = "xapic";

#define VEC       0x41
#define VEC_HIGH  0x61
#define VEC_TIMER 0x51
#define VEC_ERROR 0x71
#define COUNT     1000000
#define NAP       200000 /* TSC ticks in which nothing may come */

#define REG_NOBODY  0x83f /* the self-IPI register is x2APIC mode's */
#define ESR_SEND    (1 << 5)
#define ESR_RECEIVE (1 << 6)
#define ESR_ADDRESS (1 << 7)

#define ICR_LOWEST  (1 << 8)
#define ICR_SMI     (2 << 8)
#define ICR_NMI     (4 << 8)
#define ICR_INIT    (5 << 8)
#define ICR_SIPI    (6 << 8)
#define ICR_LOGICAL (1 << 11)
#define ICR_ASSERT  (1 << 14)
#define ICR_LEVEL   (1 << 15)
#define ICR_ALL     (2 << 18)
#define ICR_OTHERS  (3 << 18)

static volatile unsigned taken[256], nested;

static void on_irq(struct Trapframe *tf)
{
    taken[tf->tf_trapno]++;
    xapic_write(X2APIC_EOI, 0);
}

static void on_nmi(struct Trapframe *tf)
{
    taken[tf->tf_trapno]++;
}

static void spin_open(uint64_t ticks)
{
    uint64_t until = read_tsc() + ticks;
    asm volatile("sti");
    while (read_tsc() < until)
        cpu_pause();
    asm volatile("cli");
}

/* How often does this vector come after `write`? */
static unsigned count_after(void (*write)(uint32_t), uint32_t value, int vector)
{
    taken[vector] = 0;
    write(value);
    spin_open(NAP);
    return taken[vector];
}

static void write_icr(uint32_t icr)
{
    xapic_write(X2APIC_ICR, icr);
}

static void try_reset(void)
{
    if (cmdline_has("bare"))
        return;
    trying("the state after reset");
    uint64_t base = rdmsr(MSR_APIC_BASE);
    check(base == (APIC_PAGE | APIC_BASE_EN | 1 << 8), "IA32_APIC_BASE is 0x%lx", base);
    map_2m(APIC_PAGE, APIC_PAGE, PTE_P | PTE_W | PTE_PCD);
    check(xapic_read(X2APIC_ID) == 0, "ID is 0x%x", xapic_read(X2APIC_ID));
    check(xapic_read(X2APIC_SVR) == 0xff, "SVR is 0x%x", xapic_read(X2APIC_SVR));
    check(xapic_read(X2APIC_LDR) == 0, "LDR is 0x%x", xapic_read(X2APIC_LDR));
    check(xapic_read(XAPIC_DFR) == UINT32_MAX, "DFR is 0x%x", xapic_read(XAPIC_DFR));
    check(xapic_read(X2APIC_TPR) == 0, "TPR is 0x%x", xapic_read(X2APIC_TPR));
    for (uint32_t lvt = X2APIC_LVT_TIMER; lvt <= X2APIC_LVT_ERROR; lvt++)
        check(xapic_read(lvt) == LVT_MASKED, "LVT 0x%x is 0x%x", lvt, xapic_read(lvt));
}

static void try_version(void)
{
    trying("the version");
    uint32_t version = xapic_read(X2APIC_VERSION);
    check((version & 0xff) >= 0x10 && (version & 0xff) <= 0x15, "it is 0x%x", version);
    check((version >> 16 & 0xff) >= 5, "%u LVT entries", (version >> 16 & 0xff) + 1);
    xapic_write(X2APIC_VERSION, 0);
    check(xapic_read(X2APIC_VERSION) == version, "it can be written");
}

/* What each entry keeps of a value; bits 12 and 14 are the APIC's own. */
static void try_lvt(void)
{
    static const struct {
        uint32_t msr, bits;
    } entries[] = {
        { X2APIC_LVT_TIMER, 0x300ff },
        { X2APIC_LVT_TIMER + 2, 0x107ff },
        { 0x835, 0x1a7ff },
        { 0x836, 0x1a7ff },
        { X2APIC_LVT_ERROR, 0x100ff },
    };
    trying("the bits of the local vector table");
    for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
        uint32_t msr = entries[i].msr, old = xapic_read(msr);
        xapic_write(msr, LVT_MASKED | (entries[i].bits & 0x2a7f0));
        uint32_t got = xapic_read(msr) & 0xfffbafff;
        check(got == (LVT_MASKED | (entries[i].bits & 0x2a7f0)), "LVT 0x%x keeps 0x%x", msr, got);
        xapic_write(msr, old | LVT_MASKED);
    }
    xapic_write(X2APIC_LVT_TIMER, VEC_TIMER);
    xapic_write(X2APIC_SVR, 0xff);
    check(xapic_read(X2APIC_LVT_TIMER) & LVT_MASKED, "not masked by the APIC's disabling");
    xapic_write(X2APIC_LVT_TIMER, VEC_TIMER);
    check(xapic_read(X2APIC_LVT_TIMER) & LVT_MASKED, "unmasked while the APIC is disabled");
    xapic_write(X2APIC_SVR, SVR_ENABLE | 0xff);
    check(xapic_read(X2APIC_LVT_TIMER) & LVT_MASKED, "unmasked by the APIC's enabling");
}

/* Latch what has been noted, and read it. */
static uint32_t errors(void)
{
    xapic_write(X2APIC_ESR, 0);
    return xapic_read(X2APIC_ESR);
}

static void try_errors(void)
{
    trying("errors");
    errors();
    check(errors() == 0, "an error without a reason");
    (void)xapic_read(REG_NOBODY);
    check(xapic_read(X2APIC_ESR) == 0, "the error shows before it is latched");
    check(errors() == ESR_ADDRESS, "a read where no register is");
    xapic_write(REG_NOBODY, VEC);
    check(errors() == ESR_ADDRESS, "a write where no register is");
    check(errors() == 0, "an error stays");
    xapic_write(X2APIC_ICR, ICR_SELF | 0xf);
    uint32_t illegal = errors(); /* the sender finds it, or the receiver */
    check(illegal == ESR_SEND || illegal == ESR_RECEIVE, "vector 15 is sent: 0x%x", illegal);
}

static void try_error_interrupt(void)
{
    if (cmdline_has("bare"))
        return;
    trying("the error interrupt");
    xapic_write(X2APIC_LVT_ERROR, VEC_ERROR);
    check(count_after(write_icr, ICR_SELF | 3, VEC_ERROR) == 1, "vector 3 is sent");
    xapic_write(X2APIC_LVT_ERROR, LVT_MASKED | VEC_ERROR);
    check(count_after(write_icr, ICR_SELF | 3, VEC_ERROR) == 0, "an interrupt while it is masked");
    check(errors() == ESR_SEND, "the error");
    xapic_write(X2APIC_LVT_TIMER, 9);
    xapic_write(X2APIC_INITCNT, 1);
    spin_open(NAP);
    check(errors() == ESR_RECEIVE, "the timer has vector 9");
    xapic_write(X2APIC_LVT_TIMER, LVT_MASKED);
}

static void try_priorities(void)
{
    trying("the task priority");
    xapic_write(X2APIC_TPR, 0x45);
    check(xapic_read(X2APIC_TPR) == 0x45, "TPR is 0x%x", xapic_read(X2APIC_TPR));
    check(xapic_read(X2APIC_PPR) == 0x45, "PPR is 0x%x", xapic_read(X2APIC_PPR));
    uint64_t cr8;
    asm volatile("movq %%cr8, %0" : "=r"(cr8));
    check(cr8 == 4, "CR8 is 0x%lx", cr8);
    check(count_after(write_icr, ICR_SELF | VEC, VEC) == 0, "the interrupt came through");
    check(xapic_read(X2APIC_IRR + VEC / 32) == 1u << VEC % 32, "it is not requested");
    check(count_after(write_icr, ICR_SELF | VEC_HIGH, VEC_HIGH) == 1, "the higher one is held");
    xapic_write(X2APIC_TPR, 0);
    taken[VEC] = 0;
    spin_open(NAP);
    check(taken[VEC] == 1, "it came %u times", taken[VEC]);
}

/* While VEC_HIGH is served, VEC has to wait. */
static void on_outer(struct Trapframe *tf)
{
    xapic_write(X2APIC_ICR, ICR_SELF | VEC);
    spin_open(NAP);
    nested = taken[VEC];
    check(xapic_read(X2APIC_ISR + VEC_HIGH / 32) == 1u << VEC_HIGH % 32, "it is not in service");
    check(xapic_read(X2APIC_PPR) == (VEC_HIGH & 0xf0), "PPR is 0x%x", xapic_read(X2APIC_PPR));
    check(xapic_read(X2APIC_TMR + VEC_HIGH / 32) == 0, "it is level-triggered");
    on_irq(tf);
}

static void try_service(void)
{
    trying("an interrupt while a higher one is in service");
    trap_handlers[VEC_HIGH] = on_outer;
    taken[VEC] = 0;
    check(count_after(write_icr, ICR_SELF | VEC_HIGH, VEC_HIGH) == 1, "the outer one");
    check(nested == 0 && taken[VEC] == 1, "%u before EOI, %u at the end", nested, taken[VEC]);
    for (unsigned i = 0; i < 8; i++)
        check(xapic_read(X2APIC_ISR + i) == 0, "ISR %u is 0x%x", i, xapic_read(X2APIC_ISR + i));
    trap_handlers[VEC_HIGH] = on_irq;
}

/* Does an IPI with this upper half come? */
static bool reaches(uint32_t dest, uint32_t icr)
{
    xapic_write(XAPIC_ICR_HIGH, dest << DEST_SHIFT);
    check(xapic_read(XAPIC_ICR_HIGH) == dest << DEST_SHIFT, "the destination cannot be read");
    return count_after(write_icr, icr | VEC, VEC) == 1;
}

static void try_destinations(void)
{
    uint32_t id = xapic_read(X2APIC_ID) >> DEST_SHIFT;
    trying("physical destinations and shorthands");
    check(reaches(id, 0), "its own id");
    check(cmdline_has("bare") || reaches(id, ICR_LOWEST), "its own id, lowest priority");
    check(!reaches(id + 5, 0), "another id");
    check(reaches(0xff, 0), "all ids");
    check(reaches(0, ICR_SELF), "self");
    check(reaches(0, ICR_ALL), "all");
    check(!reaches(id, ICR_OTHERS), "all but itself");

    trying("logical destinations");
    xapic_write(X2APIC_LDR, 0x24 << DEST_SHIFT | 0xffffff);
    check(xapic_read(X2APIC_LDR) == 0x24 << DEST_SHIFT, "LDR is 0x%x", xapic_read(X2APIC_LDR));
    xapic_write(XAPIC_DFR, UINT32_MAX);
    check(reaches(0x04, ICR_LOGICAL), "one of its bits");
    check(reaches(0x21, ICR_LOGICAL), "the other, and one that is not its");
    check(!reaches(0xdb, ICR_LOGICAL), "all but its bits");
    xapic_write(XAPIC_DFR, 0);
    check(reaches(0x24, ICR_LOGICAL), "its cluster");
    check(!reaches(0x2b, ICR_LOGICAL), "its cluster's others");
    check(!reaches(0x14, ICR_LOGICAL), "another cluster");
    check(reaches(0xff, ICR_LOGICAL), "everybody");
    xapic_write(XAPIC_DFR, UINT32_MAX);
    check(!reaches(id, ICR_LOGICAL), "its id is no set");
}

static void try_modes(void)
{
    trying("NMI to itself, and what means nothing to a CPU that runs");
    uint32_t id = xapic_read(X2APIC_ID) >> DEST_SHIFT;
    xapic_write(XAPIC_ICR_HIGH, id << DEST_SHIFT);
    check(count_after(write_icr, ICR_NMI, T_NMI) == 1, "%u NMIs", taken[T_NMI]);
    write_icr(ICR_SIPI | 0x10);
    write_icr(ICR_OTHERS | ICR_INIT | ICR_ASSERT | ICR_LEVEL);
    write_icr(ICR_OTHERS | ICR_SIPI | 0x10);
    write_icr(ICR_OTHERS | ICR_NMI);
    write_icr(ICR_INIT | ICR_LEVEL); /* to lower the line */
    spin_open(NAP);
    check(taken[T_NMI] == 1, "%u NMIs in the end", taken[T_NMI]);
}

static void try_timer(void)
{
    trying("the timer");
    xapic_write(X2APIC_DIVIDE, DIVIDE_BY_1);
    xapic_write(X2APIC_LVT_TIMER, VEC_TIMER);
    xapic_write(X2APIC_INITCNT, UINT32_MAX);
    uint32_t left = xapic_read(X2APIC_CURCNT), later = xapic_read(X2APIC_CURCNT);
    check(left > 0 && left > later, "the current count is %u, and %u later", left, later);
    taken[VEC_TIMER] = 0;
    xapic_write(X2APIC_INITCNT, COUNT);
    while (taken[VEC_TIMER] == 0)
        asm volatile("sti; hlt; cli" ::: "memory");
    check(xapic_read(X2APIC_CURCNT) == 0, "the current count stays");
    xapic_write(X2APIC_LVT_TIMER, VEC_TIMER | LVT_PERIODIC);
    xapic_write(X2APIC_INITCNT, COUNT);
    while (taken[VEC_TIMER] < 5)
        asm volatile("sti; hlt; cli" ::: "memory");
    xapic_write(X2APIC_INITCNT, 0);
    xapic_write(X2APIC_LVT_TIMER, LVT_MASKED);
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    static const int vectors[] = { VEC, VEC_HIGH, VEC_TIMER, VEC_ERROR };
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++)
        trap_handlers[vectors[i]] = on_irq;
    trap_handlers[T_NMI] = on_nmi;
    try_reset();
    xapic_enable();
    try_version();
    try_lvt();
    try_errors();
    try_error_interrupt();
    try_priorities();
    try_service();
    try_destinations();
    try_modes();
    try_timer();
    return check_result();
}
