/*
 * RDMSR, WRMSR and CPUID.
 */
#ifndef JOS_VMM_SVM_EXIT_MSR_H
#define JOS_VMM_SVM_EXIT_MSR_H

#include <inc/types.h>

struct SvmVcpu;

bool svm_handle_cpuid(struct SvmVcpu *s);
bool svm_handle_msr(struct SvmVcpu *s);

#endif
