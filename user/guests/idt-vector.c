/*
 * idt-vector: the stack on which an event is delivered lies in memory that the VMM has not
 * populated yet, so that the delivery itself exits. The event must arrive all the same, exactly
 * once, with its error code and the RIP that its kind calls for.
 */
#include "rt.h"

const char guest_name[] = "idt-vector";

#define FRESH_START 0x1000000ul /* memory that nothing has touched */
#define FRESH_STEP  0x100000ul
#define VEC_INT     0x80
#define VEC_IRQ     0x41
#define BAD_VA      0x40000123ul
#define IST         1

static volatile unsigned count;
static volatile uint64_t came_at, came_err;
static uint64_t fresh = FRESH_START;

static void on_event(struct Trapframe *tf)
{
    count++;
    came_at = tf->tf_rip;
    came_err = tf->tf_err;
    if (tf->tf_trapno == VEC_IRQ)
        wrmsr(X2APIC_EOI, 0);
    if (catch_rip)
        tf->tf_rip = catch_rip;
}

/* The next delivery of vector v meets an untouched stack. */
static void prepare(int v)
{
    count = 0;
    set_ist(v, IST, (void *)(fresh + FRESH_STEP));
    fresh += FRESH_STEP;
    trap_handlers[v] = on_event;
}

static void arrived(const char *what, uint64_t rip, uint64_t err)
{
    check(count == 1, "%s arrived %u times", what, count);
    check(came_at == rip, "%s came at 0x%lx, not at 0x%lx", what, came_at, rip);
    check(came_err == err, "%s has error code 0x%lx, not 0x%lx", what, came_err, err);
}

/* Execute text with the address of label 2 in rax; RIP is expected at label 2 (3 is after the
 * text). */
#define AT(text) CATCH("leaq 2f(%%rip), %%rax; " text, 0, 0, 0)

static void software_events(void)
{
    trying("a breakpoint");
    prepare(T_BRKPT);
    AT("int3; 2:");
    arrived("#BP", caught.rax, 0);

    trying("a software interrupt");
    prepare(VEC_INT);
    AT("int $0x80; 2:");
    arrived("int 0x80", caught.rax, 0);
}

static void hardware_exceptions(void)
{
    trying("an undefined instruction");
    prepare(T_ILLOP);
    AT("2: ud2");
    arrived("#UD", caught.rax, 0);

    trying("a general protection fault");
    prepare(T_GPFLT);
    AT("movl $0x50, %%edx; 2: movl %%edx, %%ds");
    arrived("#GP", caught.rax, 0x50);

    trying("a page fault");
    prepare(T_PGFLT);
    AT("movl $0x40000123, %%edx; 2: movb %%al, (%%rdx)");
    arrived("#PF", caught.rax, FEC_WR);
    check(rcr2() == BAD_VA, "CR2 is 0x%lx", rcr2());
}

static void interrupt(void)
{
    uint64_t rip;

    if (!apic_enable())
        return;
    trying("an interrupt");
    prepare(VEC_IRQ);
    wrmsr(X2APIC_SELF, VEC_IRQ);
    asm volatile("leaq 1f(%%rip), %0; sti; nop; 1: nop; cli" : "=r"(rip) : : "memory");
    arrived("the interrupt", rip, 0);
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    for (unsigned i = 0; i < 3; i++) {
        software_events();
        hardware_exceptions();
        interrupt();
    }
    return check_result();
}
