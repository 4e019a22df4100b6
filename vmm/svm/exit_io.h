/*
 * Port I/O, and nested page faults.
 */
#ifndef JOS_VMM_SVM_EXIT_IO_H
#define JOS_VMM_SVM_EXIT_IO_H

#include <inc/types.h>

struct SvmVcpu;

bool svm_handle_io(struct SvmVcpu *s);
bool svm_handle_npf(struct SvmVcpu *s);

#endif
