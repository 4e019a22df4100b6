/*
 * Model-specific registers of a guest: one table says which it reaches without an exit, and how the
 * others behave.
 */
#ifndef JOS_VMM_MSR_H
#define JOS_VMM_MSR_H

#include <inc/mmu.h>
#include <inc/types.h>
#include <inc/x86.h>
#include <vmm/verdict.h>

struct Vcpu;

/* What a guest may have beside the architecture's own (inc/x86.h). */
#define MSR_BIOS_SIGN_ID         0x8b
#define MSR_SYSENTER_CS          0x174
#define MSR_SYSENTER_ESP         0x175
#define MSR_SYSENTER_EIP         0x176
#define MSR_MISC_ENABLE          0x1a0
#define MISC_ENABLE_FAST_STRINGS (1ul << 0)
#define MSR_DEBUGCTL             0x1d9
#define MSR_PAT                  0x277
#define MSR_TSC_AUX              0xc0000103
#define MSR_SYSCFG               0xc0010010
#define MSR_INT_PENDING          0xc0010055

#define MSR_PASS_READ  1
#define MSR_PASS_WRITE 2
#define MSR_PASS       (MSR_PASS_READ | MSR_PASS_WRITE)

/* Call let_through for each MSR that the guest reaches without an exit; pass: MSR_PASS_*. */
void msr_each_passed(void (*let_through)(uint8_t *map, uint32_t msr, int pass), uint8_t *map);
/* RDMSR and WRMSR that exited, of another MSR than the local APIC's and EFER: DO_NEXT; DO_GP. */
struct MsrValue msr_read(struct Vcpu *v, uint32_t msr);
enum Verdict msr_write(struct Vcpu *v, uint32_t msr, uint64_t value);

#endif
