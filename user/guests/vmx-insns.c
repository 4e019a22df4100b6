/*
 * vmx-insns: CPUID shows no VMX, so that every VMX instruction is an undefined one.
 */
#include "rt.h"

const char guest_name[] = "vmx-insns";

#define CPUID1_ECX_VMX (1u << 5)

static uint64_t region[512] __attribute__((aligned(4096)));
static uint64_t operand[2] __attribute__((aligned(16)));

static void undefined(const char *name, int vector)
{
    check(vector == T_ILLOP, "%s: trap %d instead of #UD", name, vector);
}

#define MUST_UD(name, text)                                    \
    do {                                                       \
        trying("%s", name);                                    \
        undefined(name, CATCH(text, (uint64_t)operand, 0, 0)); \
    } while (0)

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    operand[0] = (uint64_t)region;
    check(!(cpuid(1, 0).ecx & CPUID1_ECX_VMX), "CPUID shows VMX");
    MUST_UD("vmxon", "vmxon (%%rax)");
    MUST_UD("vmxoff", "vmxoff");
    MUST_UD("vmclear", "vmclear (%%rax)");
    MUST_UD("vmptrld", "vmptrld (%%rax)");
    MUST_UD("vmptrst", "vmptrst (%%rax)");
    MUST_UD("vmlaunch", "vmlaunch");
    MUST_UD("vmresume", "vmresume");
    MUST_UD("vmread", "vmread %%rcx, %%rdx");
    MUST_UD("vmwrite", "vmwrite %%rcx, %%rdx");
    MUST_UD("invept", "invept (%%rax), %%rcx");
    MUST_UD("invvpid", "invvpid (%%rax), %%rcx");
    MUST_UD("vmfunc", "vmfunc");
    MUST_UD("getsec", ".byte 0x0f, 0x37");
    return check_result();
}
