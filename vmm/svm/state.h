/*
 * A vCPU's registers for the shared parts.
 */
#ifndef JOS_VMM_SVM_STATE_H
#define JOS_VMM_SVM_STATE_H

#include <vmm/backend.h>

struct PagingMode;
struct Vcpu;

uint64_t svm_get(const struct Vcpu *v, enum VcpuReg reg);
void svm_set(struct Vcpu *v, enum VcpuReg reg, uint64_t value);
struct Segment svm_get_segment(const struct Vcpu *v, enum VcpuSegment n);
void svm_set_segment(struct Vcpu *v, enum VcpuSegment n, const struct Segment *seg);
void svm_paging_mode(const struct Vcpu *v, struct PagingMode *m);

#endif
