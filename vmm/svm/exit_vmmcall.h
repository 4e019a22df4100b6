/*
 * Hypercalls.
 */
#ifndef JOS_VMM_SVM_EXIT_VMMCALL_H
#define JOS_VMM_SVM_EXIT_VMMCALL_H

#include <inc/types.h>

struct SvmVcpu;

bool svm_handle_vmmcall(struct SvmVcpu *s);

#endif
