/*
 * resume-flag: RFLAGS.RF in the frame of an exception is 1 for faults, whether the CPU or the VMM
 * has found them, and 0 for traps, software interrupts and instruction breakpoints. With RF set, an
 * instruction breakpoint on an instruction that exits, or is executed in parts, comes once. INT1
 * leaves DR6 alone.
 */
#include "rt.h"

const char guest_name[] = "resume-flag";

#define NOT_CANON   0x800000000000ul
#define NO_MSR      0xdeadul
#define NOWHERE_VA  0x40000000ul
#define PORT        0x2f8
#define DR7_FIXED   (1ul << 10)
#define DR7_GD      (1ul << 13)
#define DR7_L0      1ul
#define DR7_WRITE_8 (0x9ul << 16) /* R/W0 = write, LEN0 = 8 bytes */
#define DR6_FIXED   0xffff0ff0ul
#define DR6_B0      1ul
#define DR6_BD      (1ul << 13)
#define ELEMENTS    4
#define VEC_SOFT    0x60
#define VEC_IRQ     0x61

static volatile uint64_t flags_seen, dr6_seen, rip_seen;
static volatile unsigned traps;
static uint8_t bytes[ELEMENTS];
static volatile uint64_t watched __attribute__((aligned(8)));

static void note(struct Trapframe *tf)
{
    flags_seen = tf->tf_rflags;
    traps++;
}

/* A fault would come again: go on after the text of CATCH. */
static void note_fault(struct Trapframe *tf)
{
    note(tf);
    caught.vector = tf->tf_trapno;
    tf->tf_rip = catch_rip;
    tf->tf_rflags &= ~(uint64_t)FL_RF;
}

static void set_dr7(uint64_t v)
{
    asm volatile("mov %0, %%dr7" : : "r"(v));
}

/* Breakpoints go on by RF, as debuggers have it; what general detect has stopped goes on, too. */
static void on_debug(struct Trapframe *tf)
{
    note(tf);
    asm volatile("mov %%dr6, %0; mov %1, %%dr6" : "=&r"(dr6_seen) : "r"(DR6_FIXED));
    rip_seen = tf->tf_rip;
    tf->tf_rflags = (tf->tf_rflags & ~(uint64_t)FL_TF) | FL_RF;
}

static void on_irq(struct Trapframe *tf)
{
    note(tf);
    wrmsr(X2APIC_EOI, 0);
}

static void is_fault(const char *what, int vector, int expected)
{
    check(vector == expected, "%s: trap %d, not %d", what, vector, expected);
    check(flags_seen & FL_RF, "%s: RF is 0", what);
    flags_seen = 0;
}

static void is_trap(const char *what)
{
    check(traps == 1, "%s: %u traps, not 1", what, traps);
    check(!(flags_seen & FL_RF), "%s: RF is 1", what);
    traps = 0;
    flags_seen = 0;
}

static void try_faults(void)
{
    is_fault("#UD of UD2", CATCH("ud2", 0, 0, 0), T_ILLOP);
    is_fault("#UD of VMXOFF", CATCH("vmxoff", 0, 0, 0), T_ILLOP);
    is_fault("#UD of MONITOR", CATCH("monitor", 0, 0, 0), T_ILLOP);
    is_fault("#GP of WRMSR", CATCH("wrmsr", 0, NO_MSR, 0), T_GPFLT);
    is_fault("#GP of RDMSR", CATCH("rdmsr", 0, NO_MSR, 0), T_GPFLT);
    is_fault("#GP of MOV to CR8", CATCH("movq %%rax, %%cr8", 99, 0, 0), T_GPFLT);
    is_fault("#GP of MOV to CR4", CATCH("movq %%rax, %%cr4", ~0ul, 0, 0), T_GPFLT);
    is_fault("#GP of a load", CATCH("movq (%%rax), %%rax", NOT_CANON, 0, 0), T_GPFLT);
    is_fault("#PF of a load", CATCH("movq (%%rax), %%rax", NOWHERE_VA, 0, 0), T_PGFLT);
    is_fault("#PF of a fetch", CATCH("jmp *%%rax", NOWHERE_VA, 0, 0), T_PGFLT);
    is_fault("#PF of INS", CATCH("movq %%rax, %%rdi; insb", NOWHERE_VA, 0, PORT), T_PGFLT);
    is_fault("#GP of OUTS", CATCH("movq %%rax, %%rsi; outsb", NOT_CANON, 0, PORT), T_GPFLT);
}

static void try_traps(void)
{
    traps = 0;
    asm volatile("int3");
    is_trap("INT3");
    asm volatile("int %0" : : "i"(VEC_SOFT));
    is_trap("INT n");
    asm volatile("pushfq; orq %0, (%%rsp); popfq; nop" : : "i"(FL_TF) : "memory", "cc");
    is_trap("a single step");
    asm volatile("mov %0, %%dr0" : : "r"(&watched));
    set_dr7(DR7_FIXED | DR7_L0 | DR7_WRITE_8);
    watched = 1;
    set_dr7(DR7_FIXED);
    is_trap("a data breakpoint");
    wrmsr(X2APIC_SELF, VEC_IRQ);
    asm volatile("sti; nop; cli");
    is_trap("an interrupt");
}

/* One trap, in front of the instruction, and the instruction is executed to its end. */
static void is_breakpoint(const char *what, const void *at)
{
    set_dr7(DR7_FIXED);
    is_trap(what);
    check(rip_seen == (uint64_t)at && (dr6_seen & DR6_B0), "%s: rip 0x%lx, DR6 0x%lx", what,
          rip_seen, dr6_seen);
}

#define BREAK_AT(label)                               \
    do {                                              \
        asm volatile("mov %0, %%dr0" : : "r"(label)); \
        set_dr7(DR7_FIXED | DR7_L0);                  \
    } while (0)

static void try_breakpoints(void)
{
    extern const uint8_t at_nop[], at_cpuid[], at_outs[], at_ins[];
    traps = 0;
    BREAK_AT(at_nop);
    asm volatile("at_nop: nop");
    is_breakpoint("a breakpoint on NOP", at_nop);
    BREAK_AT(at_cpuid);
    asm volatile("at_cpuid: cpuid" : : : "rax", "rbx", "rcx", "rdx");
    is_breakpoint("a breakpoint on CPUID", at_cpuid);
    uint64_t count = ELEMENTS;
    const void *from = bytes;
    BREAK_AT(at_outs);
    asm volatile("at_outs: rep outsb" : "+S"(from), "+c"(count) : "d"(PORT) : "memory");
    is_breakpoint("a breakpoint on REP OUTS", at_outs);
    check(count == 0, "REP OUTS has left %lu", count);
    count = ELEMENTS;
    void *to = bytes;
    BREAK_AT(at_ins);
    asm volatile("at_ins: rep insb" : "+D"(to), "+c"(count) : "d"(PORT) : "memory");
    is_breakpoint("a breakpoint on REP INS", at_ins);
    check(count == 0 && bytes[ELEMENTS - 1] == 0xff, "REP INS has left %lu", count);
}

static void try_general_detect(void)
{
    traps = 0;
    set_dr7(DR7_FIXED | DR7_GD);
    asm volatile("mov %%dr0, %%rax" : : : "rax");
    check(traps == 1 && (dr6_seen & DR6_BD), "%u traps, DR6 0x%lx", traps, dr6_seen);
    check(flags_seen & FL_RF, "general detect: RF is 0");
}

static void try_int1(void)
{
    static const uint64_t before[] = { DR6_FIXED, DR6_FIXED | DR6_B0, DR6_FIXED | DR6_BD };
    for (unsigned i = 0; i < ARRAY_SIZE(before); i++) {
        traps = 0;
        asm volatile("mov %0, %%dr6; .byte 0xf1" : : "r"(before[i]));
        check(dr6_seen == before[i], "DR6 0x%lx has become 0x%lx", before[i], dr6_seen);
        is_trap("INT1");
    }
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    if (!apic_enable())
        return check_result();
    trap_handlers[T_ILLOP] = trap_handlers[T_GPFLT] = trap_handlers[T_PGFLT] = note_fault;
    trap_handlers[T_BRKPT] = trap_handlers[VEC_SOFT] = note;
    trap_handlers[T_DEBUG] = on_debug;
    trap_handlers[VEC_IRQ] = on_irq;
    trying("INT1 with several DR6");
    try_int1();
    trying("faults");
    try_faults();
    trying("traps");
    try_traps();
    trying("instruction breakpoints");
    try_breakpoints();
    trying("general detect");
    try_general_detect();
    return check_result();
}
