/*
 * What a guest is told by CPUID.
 */
#ifndef JOS_VMM_CPUID_H
#define JOS_VMM_CPUID_H

#include <inc/types.h>
#include <inc/x86.h>

struct Vcpu;

/* The answer of any leaf. On the vCPU's CPU. */
struct CpuidRegs cpuid_answer(const struct Vcpu *v, uint32_t leaf, uint32_t subleaf);
/* Is this the CPU of AMD's? */
bool cpuid_is_amd(const struct Vcpu *v);
/* Are REP MOVS and REP STOS fast on the host's CPU (SDM "Fast-String Operation")? An Intel CPU says
 * so in IA32_MISC_ENABLE, and a kernel that finds the bit clear does without them. */
bool cpuid_has_fast_strings(void);
/* Width of guests' physical addresses. */
uint32_t cpuid_physical_bits(void);
/* Fill the tables of what all guests can have from this CPU's leaves. Once. */
void cpuid_init(void);
/* Choose the features of a vCPU that is about to be entered for the first time, and fill in
 * Vcpu.cpuid. */
void cpuid_vcpu_init(struct Vcpu *v);

#endif
