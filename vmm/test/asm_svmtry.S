/*
 * void asm_svmtry(physaddr_t vmcb): try an entry that ends before the guest's first instruction. Only
 * what VMRUN itself switches is the guest's then; general registers are as they were, but for RAX, RSP
 * and RFLAGS, which the CPU gives back.
 */
.text
.globl asm_svmtry
.type asm_svmtry, @function
asm_svmtry:
    movq %rdi, %rax
    clgi
    vmrun %rax
    stgi
    ret
.size asm_svmtry, . - asm_svmtry

.section .note.GNU-stack, "", @progbits
