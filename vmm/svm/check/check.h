/*
 * The checker of entries: the rules of APM 2 "Canonicalization and Consistency Checks", applied to
 * a VMCB before the CPU does it, so that a refused VMRUN can be explained field by field. A rule is
 * a line of a table: field, when it applies, predicate, words.
 */
#ifndef JOS_VMM_SVM_CHECK_CHECK_H
#define JOS_VMM_SVM_CHECK_CHECK_H

#include <vmm/svm/svm_vcpu.h>

/* What the rules need of the VMCB and the CPU, read once. */
struct SvmCheckView {
    const struct Vmcb *b;
    uint32_t modes; /* MODE_* */
    uint32_t physical_bits;
    bool print;
    uint32_t violations;
    enum VmcbField fields[8]; /* of the first violations */
};

/* When a rule applies: all these bits are set. */
#define MODE_LONG   (1u << 0) /* LME and PG */
#define MODE_INJECT (1u << 1) /* an event is injected */
#define MODE_NESTED (1u << 2)
#define ALWAYS      0

typedef bool SvmPredicate(const struct SvmCheckView *v, uint64_t value, uint64_t arg);

struct SvmRule {
    enum VmcbField field;
    uint32_t modes;
    SvmPredicate *holds;
    uint64_t arg; /* of the predicate */
    const char *words;
};

extern const struct SvmRule svm_rules[];
extern const size_t svm_nrules;

/* Check *b; print each violation if asked to. The result is in *v. */
void svm_check_vmcb(struct SvmCheckView *v, const struct Vmcb *b, bool print);
/* For struct Backend. */
unsigned svm_check_entry(struct Vcpu *v);
void svm_break_entry(struct Vcpu *v);
void svm_check_self_test(void);

#endif
