/*
 * The exit path.
 */
#ifndef JOS_VMM_SVM_EXIT_H
#define JOS_VMM_SVM_EXIT_H

#include <inc/vmexits.h>
#include <inc/types.h>

struct SvmVcpu;
struct Vmcb;

/* Handle the exit that has just happened. true: enter the guest again; false: ask the scheduler. */
bool svm_vmexit(struct SvmVcpu *s);
/* The same for one whose exits are traced, or that no table knows. */
bool svm_vmexit_slow(struct SvmVcpu *s);
enum GuestExitReason svm_exit_reason(const struct Vmcb *b);

#endif
