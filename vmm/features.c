/*
 * The features of guests: one table says what each needs besides the host's CPUID bit.
 */
#include <inc/error.h>
#include <inc/mmu.h>
#include <inc/string.h>
#include <inc/xsave.h>
#include <vmm/backend.h>
#include <vmm/cr.h>
#include <vmm/features.h>

static const struct CpuFeatureRow rows[] = CPU_FEATURE_ROWS;

/* Bits of CR4 and XCR0 that come and go with a feature. */
static const struct {
    uint8_t feature; /* enum CpuFeature */
    uint64_t cr4, xcr0;
} needs[] = {
    { CPUF_vme, CR4_VME | CR4_PVI, 0 }, { CPUF_de, CR4_DE, 0 },         { CPUF_umip, CR4_UMIP, 0 },
    { CPUF_fsgsbase, CR4_FSGSBASE, 0 }, { CPUF_smep, CR4_SMEP, 0 },     { CPUF_smap, CR4_SMAP, 0 },
    { CPUF_pcid, CR4_PCIDE, 0 },        { CPUF_xsave, CR4_OSXSAVE, 0 }, { CPUF_avx, 0, XCR0_AVX },
    { CPUF_avx512f, 0, XCR0_AVX512 },
};

static bool has(const struct CpuWords *w, enum CpuFeature f)
{
    return words_have(w, rows[f].word, rows[f].bit);
}

static void remove(struct CpuWords *w, enum CpuFeature f)
{
    w->word[rows[f].word] &= ~(1u << rows[f].bit);
}

/* What needs a feature that is not there goes, too. */
static void remove_dependent(struct CpuWords *w)
{
    bool again = true;
    while (again) {
        again = false;
        for (size_t f = 0; f < CPU_NFEATURES; f++) {
            if (!has(w, f) || rows[f].needs == CPUF_none || has(w, rows[f].needs))
                continue;
            remove(w, f);
            again = true;
        }
    }
}

void features_limit(struct CpuWords *words)
{
    for (size_t i = 0; i < ARRAY_SIZE(needs); i++)
        if ((needs[i].cr4 & ~guest_features.cr4) || (needs[i].xcr0 & ~guest_features.xcr0))
            remove(words, needs[i].feature);
    if (!guest_features.rdtscp)
        remove(words, CPUF_rdtscp);
    if (!guest_features.invpcid)
        remove(words, CPUF_invpcid);
    if (!guest_features.pat)
        remove(words, CPUF_pat);
    remove_dependent(words);
}

void features_settle(struct Vm *vm, const struct CpuWords *all)
{
    vm->features = *all;
    for (size_t w = 0; w < CPU_NWORDS; w++)
        vm->features.word[w] &= ~vm->off.word[w];
    remove_dependent(&vm->features);

    vm->cr4 = CR4_GUEST & guest_features.cr4;
    vm->xcr0 = guest_features.xcr0;
    for (size_t i = 0; i < ARRAY_SIZE(needs); i++) {
        if (has(&vm->features, needs[i].feature))
            continue;
        vm->cr4 &= ~needs[i].cr4;
        vm->xcr0 &= ~needs[i].xcr0;
    }
}

int features_turn_off(struct Vm *vm, const struct CpuWords *off)
{
    struct CpuWords unknown = *off;
    for (size_t f = 0; f < CPU_NFEATURES; f++) {
        if (!has(off, f))
            continue;
        if (!rows[f].may_be_off)
            return -E_INVAL;
        remove(&unknown, f);
    }
    for (size_t w = 0; w < CPU_NWORDS; w++)
        if (unknown.word[w] != 0)
            return -E_INVAL;
    vm->off = *off;
    return 0;
}
