/*
 * Offsets and encodings for the VMM's assembly. Compiled to assembly only; the build turns the
 * marked lines into vmm/vmx/asm-offsets.h.
 */
#include <inc/trap.h>
#include <vmm/vmx/vmcs_fields.h>
#include <vmm/vmx/vmcs.h>

#define DEFINE(name, value) asm volatile("\n#->" #name " %c0" : : "i"(value))
#define TF(name, reg)       DEFINE(VTF_##name, offsetof(struct Trapframe, tf_##reg))

void vmm_asm_offsets(void);

void vmm_asm_offsets(void)
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
    DEFINE(ASM_VMCS_HOST_RSP, VMCS_HOST_RSP);
    DEFINE(ASM_VMX_FAIL_INVALID, VMX_FAIL_INVALID);
    DEFINE(ASM_VMX_FAIL_VALID, VMX_FAIL_VALID);
}
