/*
 * Exceptions and software interrupts that exit.
 */
#ifndef JOS_VMM_SVM_EXIT_EXCEPTION_H
#define JOS_VMM_SVM_EXIT_EXCEPTION_H

#include <inc/types.h>

struct SvmVcpu;
struct Vcpu;
struct VcpuException;

bool svm_handle_exception(struct SvmVcpu *s);
bool svm_handle_swint(struct SvmVcpu *s);
bool svm_handle_icebp(struct SvmVcpu *s);
/* Give the guest an exception that it would have had without the intercept. */
void svm_pass_exception(struct Vcpu *v, const struct VcpuException *x);

#endif
