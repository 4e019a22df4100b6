/*
 * Tests of the lab's functions inside the kernel, at boot, by words of the kernel's command line:
 *
 *     labtest=NONCE:LETTERS    vmx.c and sched_yield, each letter one test:
 *                              0  exercise 0 on a machine that can run guests
 *                              s  what vmx_check_support answers    e  likewise vmx_check_ept
 *                              y  what sched_yield's vmx_on answers
 *     vmruntest=NONCE          asm_vmrun, with a handler of the test's own in the place of vmexit
 *     labtest-off              power off after them
 *
 * A property is a line; the nonce shows that the test has printed it:
 *     labtest NONCE 0 vmxon-result: ok
 *     labtest NONCE 0 vmxon-result: FAIL expected 0 from vmx_init_vmxon; saw -12
 *     labtest NONCE 0 answer of vmx_check_support: not supported: this CPU has no VT-x ...
 *     labtest NONCE 0 sum: 7 ok, 1 failed
 */
#ifndef JOS_VMM_TEST_LAB_H
#define JOS_VMM_TEST_LAB_H

#include <inc/types.h>

/* With the word labtest=..., at boot. */
void lab_self_test(void);

/* The properties of one run. */
struct LabScore {
    const char *word, *nonce;
    int exercise;
    int ok, failed;
};

/* Print whether a property holds: `seen` is `expected`. what: where the number comes from. */
void lab_property(struct LabScore *s, const char *name, const char *what, int64_t expected,
                  int64_t seen);
void lab_sum(const struct LabScore *s);

#endif
