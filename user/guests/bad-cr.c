/*
 * bad-cr: values that control registers and EFER do not take are #GP, and leave the register as it
 * was; a bit that only the host's VMX operation needs fixed is free for the guest. With the word
 * low-bits reserved bits above CR0's and CR3's lower halves are left out: QEMU's SVM drops those of
 * CR0, and ends a guest for those of CR3.
 */
#include "rt.h"

const char guest_name[] = "bad-cr";

static void refused(const char *what, int vector)
{
    check(vector == T_GPFLT, "%s: trap %d instead of #GP", what, vector);
    check(vector != T_GPFLT || caught.err == 0, "%s: error code 0x%lx", what, caught.err);
}

#define MUST_GP(what, text, value)               \
    do {                                         \
        trying("%s", what);                      \
        refused(what, CATCH(text, value, 0, 0)); \
    } while (0)

static void try_cr0(uint64_t cr0)
{
    if (!cmdline_has("low-bits")) {
        MUST_GP("CR0 with bit 32", "movq %%rax, %%cr0", cr0 | 1ul << 32);
        MUST_GP("CR0 with bit 63", "movq %%rax, %%cr0", cr0 | 1ul << 63);
    }
    MUST_GP("CR0 with PG but not PE", "movq %%rax, %%cr0", cr0 & ~1ul);
    MUST_GP("CR0 with NW but not CD", "movq %%rax, %%cr0", (cr0 | CR0_NW) & ~(uint64_t)CR0_CD);
    check(rcr0() == cr0, "CR0 changed to 0x%lx", rcr0());

    trying("CR0 without NE");
    int v = CATCH("movq %%rax, %%cr0", cr0 & ~(uint64_t)CR0_NE, 0, 0);
    check(v < 0, "trap %d", v);
    check(!(rcr0() & CR0_NE), "NE reads as 1");
    lcr0(cr0);
}

static void try_cr4(uint64_t cr4)
{
    MUST_GP("CR4 with bit 63", "movq %%rax, %%cr4", cr4 | 1ul << 63);
    MUST_GP("CR4 with bit 31", "movq %%rax, %%cr4", cr4 | 1ul << 31);
    MUST_GP("CR4 with VMXE", "movq %%rax, %%cr4", cr4 | CR4_VMXE);
    MUST_GP("CR4 with SMXE", "movq %%rax, %%cr4", cr4 | CR4_SMXE);
    MUST_GP("CR4 without PAE in long mode", "movq %%rax, %%cr4", cr4 & ~(uint64_t)CR4_PAE);
    check(rcr4() == cr4, "CR4 changed to 0x%lx", rcr4());
}

static void try_efer(uint64_t efer)
{
    const struct {
        const char *what;
        uint64_t value;
    } bad[] = {
        { "EFER with bit 63", efer | 1ul << 63 },
        { "EFER with bit 1", efer | 1ul << 1 },
        { "EFER without LME while paging", efer & ~(uint64_t)EFER_LME },
    };
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        trying("%s", bad[i].what);
        refused(bad[i].what, CATCH("wrmsr", (uint32_t)bad[i].value, MSR_EFER, bad[i].value >> 32));
    }
    check(rdmsr(MSR_EFER) == efer, "EFER changed to 0x%lx", rdmsr(MSR_EFER));
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    try_cr0(rcr0());
    try_cr4(rcr4());
    if (!cmdline_has("low-bits"))
        MUST_GP("CR3 with bit 62", "movq %%rax, %%cr3", rcr3() | 1ul << 62);
    MUST_GP("CR8 with 16", "movq %%rax, %%cr8", 16);
    try_efer(rdmsr(MSR_EFER));
    return check_result();
}
