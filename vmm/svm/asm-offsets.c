/*
 * Offsets for asm_svmrun.S. Compiled to assembly only; the build turns the marked lines into
 * vmm/svm/asm-offsets.h.
 */
#include <vmm/svm/asm_svmrun.h>
#include <vmm/svm/exits.h>
#include <vmm/svm/svm_vcpu.h>

#define DEFINE(name, value) asm volatile("\n#->" #name " %c0" : : "i"(value))
#define TF(name, reg)       DEFINE(STF_##name, offsetof(struct Trapframe, tf_##reg))

void svm_asm_offsets(void);

void svm_asm_offsets(void)
{
    TF(R15, r15);
    TF(R14, r14);
    TF(R13, r13);
    TF(R12, r12);
    TF(R11, r11);
    TF(R10, r10);
    TF(R9, r9);
    TF(R8, r8);
    TF(RBP, rbp);
    TF(RDI, rdi);
    TF(RSI, rsi);
    TF(RDX, rdx);
    TF(RCX, rcx);
    TF(RBX, rbx);
    TF(RAX, rax);
    DEFINE(SVM_VMCB, offsetof(struct SvmVcpu, vmcb));
    DEFINE(SVM_VMCB_PA, offsetof(struct SvmVcpu, vmcb_pa));
    DEFINE(SVM_HOST_PA, offsetof(struct SvmVcpu, host_pa));
    DEFINE(SVM_SPECIAL, offsetof(struct SvmVcpu, special));
    DEFINE(VMCB_RAX, offsetof(struct Vmcb, rax));
    DEFINE(SVM_VMEXIT, offsetof(struct SvmVcpu, vmexit));
    DEFINE(VMCB_EXIT_CODE, offsetof(struct Vmcb, exit_code));
    DEFINE(EXIT_RUNNING, SVM_EXIT_RUNNING);
    DEFINE(SVM_ENTRY_DR7, offsetof(struct SvmVcpu, entry_dr7));
}
