/*
 * int asm_vmtry(void): enter the guest of the VMCS that is current and clear, once, with whatever is
 * in the general registers. For the test of the VM-entry checker, which gives the guest no
 * memory: it exits before its first instruction. HOST_RIP must be asm_vmtry_exit. Returns an enum
 * VmxResult: VMX_OK after an exit, also after one that reports a failed entry.
 *
 * The stack while the guest runs:
 *
 *      return address
 *      rbp rbx r12 r13 r14 r15     <-- HOST_RSP
 */
#include <vmm/vmx/asm-offsets.h>

.text
.globl asm_vmtry
.type asm_vmtry, @function
asm_vmtry:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movl $ASM_VMCS_HOST_RSP, %eax
    vmwrite %rsp, %rax
    jbe 1f
    vmlaunch
1:
    movl $ASM_VMX_FAIL_VALID, %eax
    movl $ASM_VMX_FAIL_INVALID, %ecx
    cmovcl %ecx, %eax
    jmp 2f

.globl asm_vmtry_exit
asm_vmtry_exit:
    xorl %eax, %eax             /* VMX_OK */
2:
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size asm_vmtry, . - asm_vmtry

.section .note.GNU-stack, "", @progbits
