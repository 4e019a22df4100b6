/*
 * The tests that words of the command line start at boot. vmm/init.c calls them all.
 */
#ifndef JOS_VMM_TEST_BOOT_H
#define JOS_VMM_TEST_BOOT_H

/* With the word vmxcheck-test, at boot: break the rules of VM entry one by one and compare the
 * verdict of the checker (vmm/vmx/check/check.h) with the CPU's. */
void check_self_test(void);
/* With the words labtest=... and vmruntest=..., at boot: tests of the lab (vmm/test/lab.h). */
void lab_self_test(void);
void vmrun_self_test(void);
/* With the word epttest=..., at boot: the test of guest memory (vmm/test/ept.h). */
void ept_self_test(void);

#endif
