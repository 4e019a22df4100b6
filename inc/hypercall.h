/*
 * The instruction of a hypercall: VMCALL on Intel's CPUs, VMMCALL on AMD's. Each is #UD on the
 * other's, so a guest asks CPUID once, when it starts, and keeps the answer in
 * hypercall_is_vmmcall.
 */
#ifndef JOS_INC_HYPERCALL_H
#define JOS_INC_HYPERCALL_H

#ifndef __ASSEMBLER__
#include <inc/string.h>
#include <inc/types.h>
#include <inc/x86.h>

extern bool hypercall_is_vmmcall;

/* The hypercall as text for asm(): it takes and changes registers as inc/vmm.h says, and flags. */
#define HYPERCALL                              \
    "cmpb $0, hypercall_is_vmmcall(%%rip)\n\t" \
    "jne 8f\n\t"                               \
    "vmcall\n\t"                               \
    "jmp 9f\n"                                 \
    "8:\tvmmcall\n"                            \
    "9:\n\t"

/* Is this CPU AMD's, or made after it? */
static inline bool cpu_has_vmmcall(void)
{
    struct CpuidRegs r = cpuid(0, 0);
    uint32_t vendor[3] = { r.ebx, r.edx, r.ecx };
    return memcmp(vendor, "AuthenticAMD", sizeof(vendor)) == 0 ||
           memcmp(vendor, "HygonGenuine", sizeof(vendor)) == 0;
}
#endif

#endif
