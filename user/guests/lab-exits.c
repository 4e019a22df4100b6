/*
 * lab-exits: exercise 5. Exits reach their handlers, and the first hypercall answers. Does without
 * CPUID, which is exercise 6.
 */
#include "lab.h"

const char guest_name[] = "lab-exits";

#define EXERCISE      5
#define FRESH         0x1800000ul /* memory that nothing has touched */
#define APIC_BASE_BSP (1ul << 8)
#define CALLS         57 /* null hypercalls in all, for the count of `vmm -s` */

/* Patterns for every register; the call's number in RAX. */
static void fill(uint64_t regs[NREGS], uint64_t number)
{
    for (unsigned i = 0; i < NREGS; i++)
        regs[i] = 0x1111111111111111ul * i + i;
    regs[REG_AX] = number;
}

/* Of each family an exit that the VMM answers by itself. */
static void dispatch(void)
{
    property(EXERCISE, "msr", "the BSP bit of MSR IA32_APIC_BASE", APIC_BASE_BSP,
             rdmsr(MSR_APIC_BASE) & APIC_BASE_BSP);
    uint64_t cr0 = rcr0();
    lcr0(cr0 | CR0_CD);
    property(EXERCISE, "control-register", "CR0.CD, which was set", CR0_CD, rcr0() & CR0_CD);
    lcr0(cr0);
    volatile uint64_t *fresh = (uint64_t *)FRESH;
    *fresh = FRESH;
    property(EXERCISE, "ept-violation", "a word of memory never touched before", FRESH, *fresh);
}

static void hypercalls(void)
{
    int64_t sum = 0;
    for (unsigned i = 0; i < CALLS; i++)
        sum += hypercall(VMX_VMCALL_NULL, 0, 0, 0, 0);
    property(EXERCISE, "null-call", "the sum of the results", 0, sum);
    property(EXERCISE, "unknown-call", "the result of hypercall 99", -E_NO_SYS,
             hypercall(99, 0, 0, 0, 0));
}

static void mbmap(const struct MultibootInfo *info)
{
    uint64_t before[NREGS], regs[NREGS], wrong = 0;
    volatile unsigned steps = 0;
    fill(before, VMX_VMCALL_MBMAP);
    memcpy(regs, before, sizeof(regs));
    vmcall_regs(regs);
    steps++;
    property(EXERCISE, "mbmap-result", "RAX of the hypercall MBMAP", 0, regs[REG_AX]);
    property(EXERCISE, "mbmap-address", "RBX of the hypercall MBMAP", (uint64_t)info, regs[REG_BX]);
    for (unsigned i = REG_CX; i < NREGS; i++)
        wrong += regs[i] != before[i];
    property(EXERCISE, "mbmap-registers", "the number of other registers that changed", 0, wrong);
    property(EXERCISE, "mbmap-step", "how often the code after it ran", 1, steps);
}

int guest_main(const struct MultibootInfo *info)
{
    dispatch();
    hypercalls();
    mbmap(info);
    property_sum(EXERCISE);
    return 0;
}
