/*
 * Where VM exits go while the kernel's gdb stub is on: the exit has cleared DR7 and RFLAGS, so gdb's hardware
 * breakpoints are loaded again, and a single step that was lost with the entry goes on. All registers are
 * still the guest's, and RSP is HOST_RSP, aligned to 16 bytes.
 */
#include <inc/mmu.h>

.text
.globl gdb_vmexit_entry
gdb_vmexit_entry:
    pushq %rax
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    subq $8, %rsp
    call gdb_after_exit
    testb %al, %al
    leaq 8(%rsp), %rsp
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rdi
    popq %rsi
    popq %rdx
    popq %rcx
    popq %rax
    jz 1f
    pushfq
    orl $FL_TF, (%rsp)
    popfq
1:  jmp asm_vmexit_entry            /* the debug exception comes after this jump */
.section .note.GNU-stack, "", @progbits
