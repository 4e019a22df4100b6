/*
 * int asm_vmrun(struct Trapframe *tf, struct Vcpu *v, bool launched, uint64_t *host_rsp): enter the
 * guest, and again after each exit, until vmexit(v) says that the CPU is wanted elsewhere. General
 * registers are switched here; everything else is switched by the VMCS.
 *
 * The stack while the guest runs; HOST_RSP points to its end, so an exit finds tf there. It is
 * aligned to 16 bytes, as vmexit wants it:
 *
 *      return address
 *      rbp rbx r12 r13 r14 r15     of the caller, which C wants back
 *      (padding)
 *      v
 *      tf                      <-- HOST_RSP
 */
#include <vmm/vmx/asm-offsets.h>

/* The guest's registers from tf in rdi; the flags stay as they are. */
.macro LOAD_GUEST
    movq VTF_R15(%rdi), %r15
    movq VTF_R14(%rdi), %r14
    movq VTF_R13(%rdi), %r13
    movq VTF_R12(%rdi), %r12
    movq VTF_R11(%rdi), %r11
    movq VTF_R10(%rdi), %r10
    movq VTF_R9(%rdi), %r9
    movq VTF_R8(%rdi), %r8
    movq VTF_RBP(%rdi), %rbp
    movq VTF_RSI(%rdi), %rsi
    movq VTF_RDX(%rdi), %rdx
    movq VTF_RCX(%rdi), %rcx
    movq VTF_RBX(%rdi), %rbx
    movq VTF_RAX(%rdi), %rax
    movq VTF_RDI(%rdi), %rdi
.endm

.text
.globl asm_vmrun
.type asm_vmrun, @function
asm_vmrun:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    subq $8, %rsp
    pushq %rsi
    pushq %rdi

    /* HOST_RSP is written only when the stack is at another depth than at the last entry. */
    cmpq %rsp, (%rcx)
    je 1f
    movl $ASM_VMCS_HOST_RSP, %eax
    vmwrite %rsp, %rax
    jbe entry_failed
    movq %rsp, (%rcx)
1:
    /* LAB 4 begin: asm_vmrun */
    testb %dl, %dl
    LOAD_GUEST
    jz 2f
    vmresume
    jmp entry_failed
2:
    vmlaunch
    /* LAB 4 end */

    /* Reached after VMLAUNCH or VMRESUME only when they fail: CF = no current VMCS, ZF = error number. */
entry_failed:
    movl $ASM_VMX_FAIL_VALID, %eax
    movl $ASM_VMX_FAIL_INVALID, %ecx
    cmovcl %ecx, %eax

leave:
    addq $24, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret

.globl asm_vmexit_entry
asm_vmexit_entry:
    /* LAB 4 begin: asm_vmexit_entry */
    pushq %rdi
    movq 8(%rsp), %rdi
    movq %r15, VTF_R15(%rdi)
    movq %r14, VTF_R14(%rdi)
    movq %r13, VTF_R13(%rdi)
    movq %r12, VTF_R12(%rdi)
    movq %r11, VTF_R11(%rdi)
    movq %r10, VTF_R10(%rdi)
    movq %r9, VTF_R9(%rdi)
    movq %r8, VTF_R8(%rdi)
    movq %rbp, VTF_RBP(%rdi)
    movq %rsi, VTF_RSI(%rdi)
    movq %rdx, VTF_RDX(%rdi)
    movq %rcx, VTF_RCX(%rdi)
    movq %rbx, VTF_RBX(%rdi)
    movq %rax, VTF_RAX(%rdi)
    popq VTF_RDI(%rdi)

    movq 8(%rsp), %rdi
    movq 64(%rsp), %rbp         /* the caller's, for backtraces */
    call vmexit
    testb %al, %al
    jz leave_ok
    movq (%rsp), %rdi
    LOAD_GUEST
    vmresume
    jmp entry_failed
    /* LAB 4 end */

leave_ok:
    xorl %eax, %eax             /* VMX_OK */
    jmp leave
.size asm_vmrun, . - asm_vmrun

.section .note.GNU-stack, "", @progbits
