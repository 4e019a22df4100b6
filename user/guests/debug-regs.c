/*
 * debug-regs: DR0 to DR7 keep what they are given through exits, DR4 and DR5 are #UD under CR4.DE,
 * upper halves of DR6 and DR7 are #GP, and general detect and breakpoints on data work.
 */
#include "rt.h"

const char guest_name[] = "debug-regs";

#define DR7_FIXED   (1ul << 10)
#define DR7_GD      (1ul << 13)
#define DR7_L0      1ul
#define DR7_WRITE_8 (0x9ul << 16) /* R/W0 = write, LEN0 = 8 bytes */
#define DR6_BD      (1ul << 13)
#define DR6_B0      1ul

static volatile uint64_t watched[NPTENTRIES] __attribute__((aligned(PGSIZE))); /* a page alone */
static volatile uint64_t traps, dr6_seen;

static void on_debug(struct Trapframe *tf)
{
    (void)tf;
    traps++;
    asm volatile("mov %%dr6, %0; mov %1, %%dr6; mov %2, %%dr7"
                 : "=&r"(dr6_seen)
                 : "r"(0ul), "r"(DR7_FIXED));
}

static void try_values(void)
{
    uint64_t a, b, c, d;
    asm volatile("mov %0, %%dr0; mov %1, %%dr1; mov %2, %%dr2; mov %3, %%dr3"
                 :
                 : "r"(1ul), "r"(~0ul), "r"(1ul << 47), "r"(0x5555555555555555ul));
    cpuid(0, 0);
    outb(0x2f9, 0);
    asm volatile("mov %%dr0, %0; mov %%dr1, %1; mov %%dr2, %2; mov %%dr3, %3"
                 : "=r"(a), "=r"(b), "=r"(c), "=r"(d));
    check(a == 1 && b == ~0ul && c == 1ul << 47 && d == 0x5555555555555555ul,
          "DR0 to DR3 are 0x%lx, 0x%lx, 0x%lx, 0x%lx", a, b, c, d);
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    trying("DR0 to DR3 with any values");
    try_values();
    trying("upper halves of DR6 and DR7, and DR4 and DR5");
    check(CATCH("mov %%rax, %%dr7", 1ul << 32, 0, 0) == T_GPFLT, "DR7: trap %d", caught.vector);
    check(CATCH("mov %%rax, %%dr6", 1ul << 63, 0, 0) == T_GPFLT, "DR6: trap %d", caught.vector);
    lcr4(rcr4() | CR4_DE);
    check(CATCH("mov %%dr4, %%rax", 0, 0, 0) == T_ILLOP, "DR4: trap %d", caught.vector);
    check(CATCH("mov %%dr5, %%rax", 0, 0, 0) == T_ILLOP, "DR5: trap %d", caught.vector);
    lcr4(rcr4() & ~(uint64_t)CR4_DE);
    trap_handlers[T_DEBUG] = on_debug;
    trying("general detect");
    asm volatile("mov %0, %%dr7; mov %%dr0, %%rax" : : "r"(DR7_FIXED | DR7_GD) : "rax");
    check(traps == 1 && (dr6_seen & DR6_BD), "%lu traps, DR6 0x%lx", traps, dr6_seen);
    trying("a breakpoint on a write");
    asm volatile("mov %0, %%dr0; mov %1, %%dr7"
                 :
                 : "r"(watched), "r"(DR7_FIXED | DR7_L0 | DR7_WRITE_8));
    invlpg((void *)watched);
    watched[0] = 1;
    check(traps == 2 && (dr6_seen & DR6_B0), "%lu traps, DR6 0x%lx", traps, dr6_seen);
    return check_result();
}
