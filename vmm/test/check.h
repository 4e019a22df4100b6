#ifndef JOS_VMM_TEST_CHECK_H
#define JOS_VMM_TEST_CHECK_H

struct Vcpu;

/* With the word vmxcheck-test, at boot: break the rules of VM entry one by one and compare the
 * verdict of the checker (vmm/vmx/check/check.h) with the CPU's. */
void check_self_test(void);
/* With the word vmxcheck-break: break in the VMCS of a guest named break-N what case N of the test
 * breaks, to see what a refused entry looks like. */
void check_break(struct Vcpu *vcpu);

#endif
