/*
 * The monitor trap flag.
 */
#ifndef JOS_VMM_VMX_MTF_H
#define JOS_VMM_VMX_MTF_H

#include <vmm/vmx/vmx_vcpu.h>

/* Find out, once, whether this machine's monitor trap flag works; on the console if it is there and
 * does not. */
void mtf_test(void);
/* Backend.step. */
bool mtf_step(struct Vcpu *v, bool on);
/* Its exit. */
bool handle_mtf(struct Vcpu *v);

#endif
