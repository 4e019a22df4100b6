/*
 * The VM-entry checker: the rules of the manual's chapter "VM Entries", applied to the current VMCS
 * before the CPU does it, so that a refused entry can be explained field by field. A rule is a line
 * of a table: field, when it applies, predicate, words. One table is one section of the manual.
 *
 * Not there are the rules of features that this VMM never turns on and whose control bits the
 * capability MSRs keep at 0 unless somebody adds them: CET, Processor Trace, LBR, user interrupts,
 * protection keys for supervisor pages, SMM.
 */
#ifndef JOS_VMM_VMX_CHECK_CHECK_H
#define JOS_VMM_VMX_CHECK_CHECK_H

#include <vmm/vmx/ctls.h>
#include <vmm/vmx/vmx_vcpu.h>

/* What the rules are about, in the order in which the CPU checks it; the CPU tells them apart by
 * how the entry fails. */
enum CheckClass {
    CHECK_OK,      /* the entry succeeds */
    CHECK_CONTROL, /* VM-instruction error 7 */
    CHECK_HOST,    /* VM-instruction error 8 */
    CHECK_GUEST,   /* exit reason 33 */
    CHECK_MSR,     /* exit reason 34 */
    CHECK_OTHER,   /* not by the manual: the CPU reports something else */
};
extern const char *const check_class_words[];

/* When a rule applies: all these bits are set in this word. */
enum CheckWord {
    IN_PIN = CTL_PIN,
    IN_PROC = CTL_PROC,
    IN_PROC2 = CTL_PROC2,
    IN_EXIT = CTL_EXIT,
    IN_ENTRY = CTL_ENTRY,
    IN_MODE, /* MODE_* */
    NWORDS
};
#define MODE_IA32E     (1u << 0) /* the guest is in IA-32e mode */
#define MODE_LEGACY    (1u << 1) /* it is not */
#define MODE_V86       (1u << 2)
#define MODE_PROTECTED (1u << 3) /* not V86 */
#define MODE_URG       (1u << 4) /* unrestricted guest */
#define MODE_RESTRICT  (1u << 5)
#define MODE_HOST_64   (1u << 6) /* host address-space size */
#define MODE_HOST_32   (1u << 7)
#define MODE_INJECT    (1u << 8)  /* an event is injected */
#define MODE_PAE       (1u << 9)  /* the guest has PAE paging */
#define MODE_LINK      (1u << 10) /* the VMCS link pointer is in use */

/* What the rules need of the VMCS and the CPU, read once. */
struct CheckView {
    uint32_t word[NWORDS];
    uint32_t block, activity, info; /* interruptibility, activity, event to inject */
    uint32_t cs_ar, ss_ar;
    uint64_t cr0, cr4, rflags, debugctl;
    uint64_t basic, misc;                /* capability MSRs */
    uint32_t physical_bits, linear_bits; /* widths of the CPU's addresses */
    bool print;
    uint32_t violations;
    enum CheckClass class;    /* of the first violation */
    enum VmcsField fields[8]; /* of the first violations */
};

typedef bool CheckPredicate(const struct CheckView *v, uint64_t value, uint64_t arg);

struct CheckRule {
    enum VmcsField field;
    enum CheckWord word;
    uint32_t bits;
    CheckPredicate *holds;
    uint64_t arg; /* of the predicate */
    const char *words;
};

struct CheckSection {
    const char *title; /* of the manual's section */
    enum CheckClass class;
    const struct CheckRule *rules;
    size_t nrules;
    void (*more)(struct CheckView *v, const struct CheckSection *s); /* or NULL: what is no table */
};

extern const struct CheckSection check_controls[], check_host[], check_guest[], check_segments[],
    check_msrs[]; /* lists that end with a title NULL */

/* Check the VMCS that is current on this CPU; print each violation if asked to. The result is in
 * *v. No field of the VMCS changes, nor does the VM-instruction error if all fields are there. */
void vmcs_check(struct CheckView *v, bool print);

/* ---- for the tables ---- */
void check_violation(struct CheckView *v, const struct CheckSection *s, enum VmcsField field,
                     uint64_t value, const char *words);
/* A word of physical memory, or false: it is not in RAM. */
bool check_read_physical(physaddr_t pa, void *buf, size_t len);
static inline bool check_applies(const struct CheckView *v, enum CheckWord word, uint32_t bits)
{
    return (v->word[word] & bits) == bits;
}

CheckPredicate check_zero_bits; /* arg: bits that must be 0 */
CheckPredicate check_one_bits;  /* arg: bits that must be 1 */
CheckPredicate check_fixed_cr4; /* the bits that VMX operation wants */
CheckPredicate check_canonical;
CheckPredicate check_physical; /* within the physical-address width; arg: low bits that must be 0 */
CheckPredicate check_pat;      /* eight memory types */
CheckPredicate check_perf;     /* IA32_PERF_GLOBAL_CTRL */

#define ALWAYS        IN_PIN, 0
#define LENGTH(rules) rules, ARRAY_SIZE(rules)

#endif
