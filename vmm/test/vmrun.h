#ifndef JOS_VMM_TEST_VMRUN_H
#define JOS_VMM_TEST_VMRUN_H

/* With the word vmruntest=..., at boot: a test of the lab (vmm/test/lab.h). */
void vmrun_self_test(void);

#endif
