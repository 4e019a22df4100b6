/*
 * The way into a guest and out of it, in assembly.
 */
#ifndef JOS_VMM_SVM_ASM_SVMRUN_H
#define JOS_VMM_SVM_ASM_SVMRUN_H

#include <inc/trap.h>

struct SvmVcpu;

/* Enter the guest with the general registers in tf, where *s->vmexit finds those it
 * had at its exit, until that returns false. */
void asm_svmrun(struct Trapframe *tf, struct SvmVcpu *s);
extern const char asm_svmrun_end[];

#endif
