/*
 * The run loop, and the ways to end an exit.
 */
#ifndef JOS_VMM_SVM_RUN_H
#define JOS_VMM_SVM_RUN_H

#include <vmm/svm/svm_vcpu.h>
#include <vmm/verdict.h>

struct Env;

/*
 * What comes after an exit. A handler's last act is to call one of these, and to return what it
 * returns: true: enter the guest again; false: leave it, and ask the scheduler. svm_resume goes on
 * at the instruction that exited, svm_skip after it. Both may find that the host wants the CPU.
 */
bool svm_resume(struct SvmVcpu *s);
bool svm_skip(struct SvmVcpu *s);
/* The same where the next instruction is known. */
bool svm_skip_to(struct SvmVcpu *s, uint64_t rip);
bool svm_leave(struct SvmVcpu *s);
/* End an exit as a shared decision says. */
bool svm_finish_rare(struct SvmVcpu *s, enum Verdict verdict);
static inline bool svm_finish(struct SvmVcpu *s, enum Verdict verdict)
{
    return __builtin_expect(verdict == DO_NEXT, 1) ? svm_skip(s) : svm_finish_rare(s, verdict);
}
/* Go on after the instruction that exited, whatever comes next; length 0: that of the instruction.
 */
void svm_skip_instruction(struct Vcpu *v, uint32_t length);
void svm_run(struct Env *e);
void svm_hand_over(struct Vcpu *v);
/* Which way entries and exits go: after a change of DR7. */
void svm_note_special(struct SvmVcpu *s);

#endif
