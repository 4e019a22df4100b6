/*
 * lab-own-exit: the challenge hv_exits. A guest counts its exits, and the VMM has counted the same.
 */
#include "lab.h"
#include <inc/vmexits.h>

const char guest_name[] = "lab-own-exit";

#define CHALLENGE 8 /* in the place of an exercise's number */
#define ALL       (~0ul)
#define ROUNDS    25
#define UNTOUCHED 0x5a5a5a5a5a5aul

/* The count that VMX_VMCALL_EXITS gives for a reason, or the error. */
static int64_t exits(uint64_t reason)
{
    uint64_t regs[NREGS] = { [REG_AX] = VMX_VMCALL_EXITS, [REG_BX] = reason };
    vmcall_regs(regs);
    return regs[REG_AX] != 0 ? (int64_t)regs[REG_AX] : (int64_t)regs[REG_CX];
}

/* Make exits of one reason. */
static void make_exits(void)
{
    for (unsigned i = 0; i < ROUNDS; i++)
        cpuid(0, 0);
}

static void counts(void)
{
    int64_t calls = exits(EXIT_VMCALL), cpuids = exits(EXIT_CPUID);
    property(CHALLENGE, "exits-known", "whether VMX_VMCALL_EXITS gives a count", 1, calls >= 0);
    make_exits();
    property(CHALLENGE, "exits-counted", "CPUID exits between two calls", ROUNDS,
             exits(EXIT_CPUID) - cpuids);
    /* since the first: the call for CPUID before and after, and this one */
    property(CHALLENGE, "exits-own", "VMCALL exits since a call, with the last one", 3,
             exits(EXIT_VMCALL) - calls);
}

static void sums(void)
{
    int64_t sum = 0, all = exits(ALL);
    for (uint64_t reason = 0; reason < GUEST_NREASONS; reason++)
        sum += exits(reason);
    /* each of those calls has added one, and the one for VMCALL has seen what came before it */
    property(CHALLENGE, "exits-all", "whether all reasons together are the sum", 1,
             sum >= all && sum <= all + GUEST_NREASONS);
}

static void refusals(void)
{
    uint64_t regs[NREGS] = {
        [REG_AX] = VMX_VMCALL_EXITS, [REG_BX] = GUEST_NREASONS, [REG_CX] = UNTOUCHED
    };
    vmcall_regs(regs);
    property(CHALLENGE, "exits-unknown", "the result for a reason that there is not", -E_INVAL,
             regs[REG_AX]);
    property(CHALLENGE, "exits-unknown-rcx", "RCX after that", UNTOUCHED, regs[REG_CX]);
    property(CHALLENGE, "exits-huge", "the result for the reason 1 << 32", -E_INVAL,
             exits(1ul << 32));
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    counts();
    sums();
    refusals();
    property_sum(CHALLENGE);
    return 0;
}
