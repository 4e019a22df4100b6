/*
 * Memory-type range registers of a guest. They are kept, and have no effect: all its memory is RAM,
 * which EPT makes write-back whatever the guest says (vmx_stage2_format), and the CPU does not know
 * of these registers. Kernels want to read what firmware has set up, and some use the PAT
 * only where there are MTRRs.
 */
#ifndef JOS_VMM_MTRR_H
#define JOS_VMM_MTRR_H

#include <inc/types.h>
#include <vmm/verdict.h>

#define MTRR_VARIABLE 8  /* pairs of base and mask */
#define MTRR_FIXED    11 /* each eight ranges below 1 MiB */

struct Mtrrs {
    uint64_t variable[2 * MTRR_VARIABLE];
    uint64_t fixed[MTRR_FIXED];
    uint64_t def_type;
};

/* As firmware leaves them: memory is write-back, the hole for devices uncacheable. phys_bits: width
 * of physical addresses. */
void mtrr_init(struct Mtrrs *m, uint32_t phys_bits);
/* RDMSR and WRMSR of any MSR: DO_GP also if it is not one of these. */
struct MsrValue mtrr_read(const struct Mtrrs *m, uint32_t msr);
enum Verdict mtrr_write(struct Mtrrs *m, uint32_t phys_bits, uint32_t msr, uint64_t value);

#endif
