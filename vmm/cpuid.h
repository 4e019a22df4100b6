/*
 * What a guest is told by CPUID.
 */
#ifndef JOS_VMM_CPUID_H
#define JOS_VMM_CPUID_H

#include <inc/x86.h>

#define CPUID_PLAIN_MAX 3 /* up to this leaf, answers are rows of a table */

/* The rows, constant once cpuid_init was called. */
extern struct CpuidRegs cpuid_basic[];
/* The answer of any leaf. */
struct CpuidRegs cpuid_answer(uint32_t leaf, uint32_t subleaf);
/* Bits of a guest's physical addresses, as leaf 0x80000008 tells it. */
uint32_t cpuid_physical_bits(void);
/* Fill the tables from this CPU's leaves; has_rdtscp: guests can execute RDTSCP. Once. */
void cpuid_init(bool has_rdtscp);

#endif
