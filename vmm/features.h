/*
 * Which features of the host's CPU guests can have, and which of them one guest has. CPUID shows
 * them (vmm/cpuid.c); bits of CR4, components of XCR0, MSRs and VM controls follow from them.
 */
#ifndef JOS_VMM_FEATURES_H
#define JOS_VMM_FEATURES_H

#include <inc/cpufeatures.h>
#include <vmm/vm.h>

struct Vcpu;

/* Features that depend on more than the CPU's word: those are kept from *words, which are the
 * host's, unless the back end can switch or virtualize what they need. */
void features_limit(struct CpuWords *words);
/* Find out what vm has of all that guests can have. Before its first entry. */
void features_settle(struct Vm *vm, const struct CpuWords *all);
/* Keep these features from a guest that has not been entered. -E_INVAL: one is unknown, or is
 * needed. */
int features_turn_off(struct Vm *vm, const struct CpuWords *off);

static inline bool words_have(const struct CpuWords *w, uint32_t word, uint32_t bit)
{
    return w->word[word] & 1u << bit;
}

/* Does the guest have it? Once its vCPU is about to be entered. */
#define vm_has(vm, name) words_have(&(vm)->features, FEATURE_WORD_##name, FEATURE_BIT_##name)

enum {
#define FEATURE_CONSTANTS(name, word, bit, may, needs) \
    FEATURE_WORD_##name = CPU_##word, FEATURE_BIT_##name = bit,
    CPU_FEATURE_LIST(FEATURE_CONSTANTS)
#undef FEATURE_CONSTANTS
};

#endif
