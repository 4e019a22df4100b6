/*
 * Model-specific registers of a guest: one table says which it reaches without an exit, and how the
 * others behave.
 */
#ifndef JOS_VMM_MSR_H
#define JOS_VMM_MSR_H

#include <inc/types.h>
#include <vmm/verdict.h>

struct Vcpu;

#define MSR_PASS_READ  1
#define MSR_PASS_WRITE 2
#define MSR_PASS       (MSR_PASS_READ | MSR_PASS_WRITE)

/* Call let_through for each MSR that the guest reaches without an exit; pass: MSR_PASS_*. */
void msr_each_passed(void (*let_through)(uint8_t *map, uint32_t msr, int pass), uint8_t *map);
/* RDMSR and WRMSR that exited: DO_NEXT with the value in *value or taken over, DO_GP. */
enum Verdict msr_read(struct Vcpu *v, uint32_t msr, uint64_t *value);
enum Verdict msr_write(struct Vcpu *v, uint32_t msr, uint64_t value);

#endif
