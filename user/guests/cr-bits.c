/*
 * cr-bits: every bit of CR0, CR4, CR8 and EFER is changed alone, set and cleared, also those that
 * VMX operation fixes. Each either takes and can be changed back, or is #GP and changes nothing.
 */
#include "rt.h"

const char guest_name[] = "cr-bits";

static unsigned taken, refused;

/* Count it; on #GP the register must be as before. */
static void judge(const char *reg, int bit, int vector, uint64_t before, uint64_t now)
{
    taken += vector < 0;
    refused += vector == T_GPFLT;
    check(vector < 0 || vector == T_GPFLT, "%s bit %d: trap %d", reg, bit, vector);
    check(vector < 0 || before == now, "%s bit %d: #GP, but 0x%lx is 0x%lx", reg, bit, before, now);
}

/* Bits that the code here needs as they are: PE and PG, PAE. Changing them is tried by bad-cr. */
#define CR0_NEEDED (CR0_PE | CR0_PG)

static void try_cr0(void)
{
    uint64_t cr0 = rcr0();
    for (int bit = 0; bit < 64; bit++) {
        if (1ul << bit & CR0_NEEDED)
            continue;
        int v = CATCH("movq %%rax, %%cr0", cr0 ^ 1ul << bit, 0, 0);
        judge("CR0", bit, v, cr0, rcr0());
        lcr0(cr0);
        check(rcr0() == cr0, "CR0 is 0x%lx after bit %d, not 0x%lx", rcr0(), bit, cr0);
    }
}

static void try_cr4(void)
{
    uint64_t cr4 = rcr4();
    for (int bit = 0; bit < 64; bit++) {
        int v = CATCH("movq %%rax, %%cr4; movq %%rcx, %%cr4", cr4 ^ 1ul << bit, cr4, 0);
        judge("CR4", bit, v, cr4, rcr4());
        check(rcr4() == cr4, "CR4 is 0x%lx after bit %d, not 0x%lx", rcr4(), bit, cr4);
    }
}

static void try_cr8(void)
{
    for (int bit = 0; bit < 64; bit++) {
        int v = CATCH("movq %%rax, %%cr8; movq %%rcx, %%cr8", 1ul << bit, 0, 0);
        judge("CR8", bit, v, 0, 0);
        check((v < 0) == (bit < 4), "CR8 bit %d: trap %d", bit, v);
    }
}

static void try_efer(void)
{
    uint64_t efer = rdmsr(MSR_EFER);
    for (int bit = 0; bit < 64; bit++) {
        uint64_t x = efer ^ 1ul << bit;
        int v = CATCH("wrmsr", (uint32_t)x, MSR_EFER, x >> 32);
        judge("EFER", bit, v, efer, rdmsr(MSR_EFER));
        wrmsr(MSR_EFER, efer);
    }
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    trying("every bit of CR0, CR4, CR8 and EFER");
    try_cr0();
    try_cr4();
    try_cr8();
    try_efer();
    print("cr-bits: %u taken, %u refused\n", taken, refused);
    check(taken > 0 && refused > 128, "too few refused");
    return check_result();
}
