/*
 * asm_vmrun.S once more, for its test: under names of its own, and with vmrun_test_exit in the place
 * of vmexit.
 *
 * int asm_vmrun_called(tf, g, launched, host_rsp, uint64_t regs[5]): call it with the first four arguments,
 * rbx and r12 to r15 being those in regs, and put there what they are afterwards.
 */
#define asm_vmrun        asm_vmrun_copy
#define asm_vmexit_entry asm_vmexit_entry_copy
#define vmexit           vmrun_test_exit
#include <vmm/vmx/asm_vmrun.S>

.text
.globl asm_vmrun_called
.type asm_vmrun_called, @function
asm_vmrun_called:
    pushq %rbp
    movq %rsp, %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    pushq %r8                   /* keeps the stack aligned to 16 bytes, too */
    movq (%r8), %rbx
    movq 8(%r8), %r12
    movq 16(%r8), %r13
    movq 24(%r8), %r14
    movq 32(%r8), %r15
    movq %rbp, vmrun_test_rbp(%rip)
    call asm_vmrun_copy
    movq -48(%rbp), %rcx        /* regs, whatever became of rsp */
    movq %rbx, (%rcx)
    movq %r12, 8(%rcx)
    movq %r13, 16(%rcx)
    movq %r14, 24(%rcx)
    movq %r15, 32(%rcx)
    leaq -40(%rbp), %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
.size asm_vmrun_called, . - asm_vmrun_called

.section .note.GNU-stack, "", @progbits
