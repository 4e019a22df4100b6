/*
 * nmi: INT 2, and NMIs to itself through the local APIC: each comes at once, whatever RFLAGS.IF
 * says, but not while one is handled; then one waits, and comes after the IRET. IRET out of what
 * is no NMI handler does no harm, and the host's own NMIs stay unblocked. With the word "iret", an
 * IRET comes before each NMI that is sent outside of the handler: for a CPU on which blocking comes
 * back without an NMI (see conf/kvm/verdicts.py).
 */
#include "rt.h"

const char guest_name[] = "nmi";

#define ICR_NMI      (4 << 8)
#define ICR_OTHERS   (3ul << 18)
#define ICR_ALL      (2ul << 18)
#define DEST_ALL     (0xfffffffful << 32)
#define DEST_OTHER   (5ul << 32)
#define TIMES        200
#define VECTOR       0x50
#define MAX_DEPTH    4
#define COLD_ADDRESS 0x1000000ul /* in memory that nothing has touched */

static volatile unsigned seen, depth, deepest, irqs;
static volatile unsigned send_inside; /* NMIs that the handler sends to itself */
static volatile bool iret_inside;     /* and whether it executes an IRET then */
static volatile unsigned seen_inside; /* when it has done that */
static bool iret_first;               /* before an NMI that is sent outside of the handler */

static void write_icr(uint64_t icr)
{
    wrmsr(X2APIC_ICR, icr | ICR_NMI);
}

/* IRET to the next instruction. */
static void iret_here(void)
{
    asm volatile("movq %%rsp, %%rax; pushq %0; pushq %%rax; pushfq; pushq %1; pushq $1f; iretq; 1:"
                 :
                 : "i"(SEL_KDATA), "i"(SEL_KCODE)
                 : "rax", "memory", "cc");
}

/* Outside of the handler. */
static void send(uint64_t icr)
{
    if (iret_first)
        iret_here();
    write_icr(icr);
}

static void on_nmi(struct Trapframe *tf)
{
    (void)tf;
    seen++;
    deepest = MAX(deepest, ++depth);
    if (depth < MAX_DEPTH && send_inside > 0) {
        for (unsigned n = send_inside; n > 0; n--)
            write_icr(ICR_SELF);
        send_inside = 0;
        if (iret_inside)
            iret_here();
        seen_inside = seen;
    }
    depth--;
}

static void on_irq(struct Trapframe *tf)
{
    (void)tf;
    irqs++;
    wrmsr(X2APIC_EOI, 0);
}

static void try_destinations(void)
{
    static const struct {
        uint64_t icr;
        bool comes;
        const char *words;
    } ways[] = {
        { ICR_SELF, true, "shorthand self" },      { 0, true, "my id" },
        { DEST_ALL, true, "broadcast" },           { ICR_ALL, true, "shorthand all" },
        { ICR_OTHERS, false, "shorthand others" }, { DEST_OTHER, false, "another id" },
        { 77, true, "my id, with a vector" },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(ways); i++) {
        unsigned before = seen;
        send(ways[i].icr);
        check(seen - before == ways[i].comes, "%s: %u NMIs", ways[i].words, seen - before);
    }
    seen = 0;
    for (unsigned i = 0; i < TIMES; i++)
        send(ICR_SELF);
    check(seen == TIMES, "%u seen", seen);
}

static void try_blocking(void)
{
    seen = deepest = 0;
    send_inside = 3;
    send(ICR_SELF);
    check(seen_inside == 1, "%u seen in the handler, not 1", seen_inside);
    check(seen == 2 && deepest == 1, "%u seen, %u deep, not 2 and 1", seen, deepest);
    send(ICR_SELF);
    check(seen == 3, "%u seen, not 3", seen);
    seen = deepest = 0;
    send_inside = 1;
    iret_inside = true;
    send(ICR_SELF);
    check(seen_inside == 2, "%u seen after an IRET in the handler, not 2", seen_inside);
    check(seen == 2 && deepest == 2, "%u seen, %u deep, not 2 and 2", seen, deepest);
}

/* The NMI's handler runs on memory that comes only with the exit that its delivery makes. */
static void try_cold_stack(void)
{
    seen = deepest = 0;
    iret_inside = false;
    send_inside = 1;
    set_ist(T_NMI, 1, (void *)COLD_ADDRESS);
    send(ICR_SELF);
    check(seen == 2 && deepest == 1, "%u seen, %u deep, not 2 and 1", seen, deepest);
    set_ist(T_NMI, 0, NULL);
}

static void try_interrupts(void)
{
    seen = irqs = 0;
    wrmsr(X2APIC_SELF, VECTOR);
    send(ICR_SELF);
    check(seen == 1 && irqs == 0, "%u NMIs and %u interrupts, not 1 and 0", seen, irqs);
    asm volatile("sti; nop; cli");
    check(seen == 1 && irqs == 1, "%u NMIs and %u interrupts, not 1 and 1", seen, irqs);
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    if (!apic_enable())
        return check_result();
    iret_first = cmdline_has("iret");
    trap_handlers[T_NMI] = on_nmi;
    trap_handlers[VECTOR] = on_irq;
    trying("INT 2, %u times", TIMES);
    for (unsigned i = 0; i < TIMES; i++)
        asm volatile("int $2");
    check(seen == TIMES, "%u seen", seen);
    trying("NMIs to myself");
    try_destinations();
    trying("NMIs inside of the handler");
    try_blocking();
    trying("an NMI whose delivery touches new memory");
    try_cold_stack();
    trying("an NMI while an interrupt waits");
    try_interrupts();
    trying("INT 2 inside of the handler's end");
    seen = 0;
    asm volatile("int $2; int $2");
    check(seen == 2, "%u seen", seen);
    return check_result();
}
