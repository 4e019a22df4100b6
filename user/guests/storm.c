/*
 * storm: thousands of #GP, #UD, #PF and #DF, one after the other; each arrives once.
 */
#include "rt.h"

const char guest_name[] = "storm";

#define TIMES        2000
#define GATE_PRESENT 0x80

static uint8_t stack[4096] __attribute__((aligned(16)));

#define STORM(what, vector, text)                             \
    do {                                                      \
        unsigned good = 0;                                    \
        trying("%u times %s", TIMES, what);                   \
        for (unsigned i = 0; i < TIMES; i++)                  \
            good += CATCH(text, 0, 0, 0) == (vector);         \
        check(good == TIMES, "%s came %u times", what, good); \
    } while (0)

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    STORM("#GP", T_GPFLT, "movabsq $0x800000000000, %%rax; movq (%%rax), %%rax");
    STORM("#GP by RDMSR", T_GPFLT, "movl $0x12345678, %%ecx; rdmsr");
    STORM("#UD", T_ILLOP, "ud2");
    STORM("#PF", T_PGFLT, "movabsq $0x7f0000000000, %%rax; movq (%%rax), %%rax");
    set_ist(T_DBLFLT, 1, stack + sizeof(stack));
    rt_idt[T_ILLOP].type_dpl_p &= ~GATE_PRESENT;
    rt_idt[T_SEGNP].type_dpl_p &= ~GATE_PRESENT;
    STORM("#DF", T_DBLFLT, "ud2");
    return check_result();
}
