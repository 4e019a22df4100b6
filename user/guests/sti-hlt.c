/*
 * sti-hlt: STI holds interrupts back for one more instruction. So `sti; hlt` halts first and is
 * woken, `sti; cli` lets nothing through, and a halted guest wakes for its timer.
 */
#include "rt.h"

const char guest_name[] = "sti-hlt";

#define VEC   0x41
#define TIMER 0x30
#define DELAY 300000

static volatile unsigned count;
static volatile uint64_t came_at;

static void on_interrupt(struct Trapframe *tf)
{
    count++;
    came_at = tf->tf_rip;
    wrmsr(X2APIC_EOI, 0);
}

int guest_main(const struct MultibootInfo *info)
{
    uint64_t after_hlt;
    (void)info;

    if (!apic_enable())
        return check_result();
    trap_handlers[VEC] = trap_handlers[TIMER] = on_interrupt;

    trying("sti; cli with an interrupt pending");
    wrmsr(X2APIC_SELF, VEC);
    asm volatile("sti; cli");
    check(count == 0, "the interrupt came between sti and cli");

    trying("sti; hlt with an interrupt pending");
    asm volatile("leaq 1f(%%rip), %0; sti; hlt; 1: cli" : "=r"(after_hlt) : : "memory");
    check(count == 1, "%u interrupts, not 1", count);
    check(came_at == after_hlt, "it came at 0x%lx, not after hlt (0x%lx)", came_at, after_hlt);

    trying("sti; hlt until the timer wakes");
    wrmsr(X2APIC_DIVIDE, DIVIDE_BY_1);
    wrmsr(X2APIC_LVT_TIMER, TIMER);
    wrmsr(X2APIC_INITCNT, DELAY);
    asm volatile("leaq 1f(%%rip), %0; sti; hlt; 1: cli" : "=r"(after_hlt) : : "memory");
    check(count == 2, "%u interrupts, not 2", count);
    check(came_at == after_hlt, "it came at 0x%lx, not after hlt (0x%lx)", came_at, after_hlt);
    return check_result();
}
