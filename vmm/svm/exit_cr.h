/*
 * Control and debug registers.
 */
#ifndef JOS_VMM_SVM_EXIT_CR_H
#define JOS_VMM_SVM_EXIT_CR_H

#include <inc/types.h>

struct SvmVcpu;
struct Vcpu;

bool svm_handle_cr_read(struct SvmVcpu *s);
bool svm_handle_cr_write(struct SvmVcpu *s);
bool svm_handle_dr(struct SvmVcpu *s);
bool svm_handle_xsetbv(struct SvmVcpu *s);
/* Accesses to debug registers exit, or do not; those of DR7 always do. */
void svm_set_dr_exits(struct Vcpu *v, bool exits);
/* DR7 of the guest, or of its debugger. */
void svm_set_dr7(struct SvmVcpu *s, uint64_t value);

#endif
