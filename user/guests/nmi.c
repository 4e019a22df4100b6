/*
 * nmi: INT 2, NMIs to itself through the local APIC, and IRET out of what is no NMI handler; the
 * host's own NMIs stay unblocked, and the guest goes on.
 */
#include "rt.h"

const char guest_name[] = "nmi";

#define ICR_NMI (4 << 8)
#define TIMES   200

static volatile unsigned seen;

static void on_nmi(struct Trapframe *tf)
{
    (void)tf;
    seen++;
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    if (!apic_enable())
        return check_result();
    trap_handlers[T_NMI] = on_nmi;
    trying("INT 2, %u times", TIMES);
    for (unsigned i = 0; i < TIMES; i++)
        asm volatile("int $2");
    check(seen == TIMES, "%u seen", seen);
    trying("NMIs to myself");
    for (unsigned i = 0; i < TIMES; i++) {
        int v = CATCH("wrmsr", ICR_SELF | ICR_NMI, X2APIC_ICR, 0);
        check(v < 0 || v == T_GPFLT, "trap %d", v);
    }
    trying("INT 2 inside of the handler's end");
    asm volatile("int $2; int $2");
    check(seen >= TIMES + 2, "%u seen", seen);
    return check_result();
}
