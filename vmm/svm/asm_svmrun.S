/*
 * void asm_svmrun(struct Trapframe *tf, struct SvmVcpu *s): enter the guest, and again after each exit,
 * until *s->vmexit says that the CPU is wanted elsewhere. The order is that of APM 2 "VMRUN
 * Instruction" and "VMSAVE and VMLOAD Instructions": with GIF clear nothing comes between the guest's
 * FS, GS, TR and SYSCALL registers and the host's. RFLAGS.IF is set at VMRUN, since it is the host's
 * that lets interrupts out of the guest (V_INTR_MASKING).
 *
 * The stack while the guest runs; the CPU keeps RSP. It is aligned to 16 bytes, as *s->vmexit wants it:
 *
 *      return address
 *      rbp rbx r12 r13 r14 r15     of the caller, which C wants back
 *      dr7                         for a special entry
 *      vmcb_pa
 *      host_pa
 *      s
 *      tf                      <-- RSP
 */
#include <vmm/svm/asm-offsets.h>

#define STACK_S       8
#define STACK_HOST_PA 16
#define STACK_VMCB_PA 24
#define STACK_DR7     32
#define STACK_RBP     80
#define STACK_OWN     40 /* bytes below the caller's registers */
#define DR7_RESET     0x400

/* The guest's registers from tf in rdi, but for RAX, which is in the VMCB. */
.macro LOAD_GUEST
    movq STF_R15(%rdi), %r15
    movq STF_R14(%rdi), %r14
    movq STF_R13(%rdi), %r13
    movq STF_R12(%rdi), %r12
    movq STF_R11(%rdi), %r11
    movq STF_R10(%rdi), %r10
    movq STF_R9(%rdi), %r9
    movq STF_R8(%rdi), %r8
    movq STF_RBP(%rdi), %rbp
    movq STF_RSI(%rdi), %rsi
    movq STF_RDX(%rdi), %rdx
    movq STF_RCX(%rdi), %rcx
    movq STF_RBX(%rdi), %rbx
    movq STF_RDI(%rdi), %rdi
.endm

.text
.globl asm_svmrun
.type asm_svmrun, @function
asm_svmrun:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    pushq $0
    pushq SVM_VMCB_PA(%rsi)
    pushq SVM_HOST_PA(%rsi)
    pushq %rsi
    pushq %rdi
    jmp enter

    .p2align 4
again:
    movq (%rsp), %rdi
    movq STACK_S(%rsp), %rsi
enter:
    movq SVM_VMCB(%rsi), %rcx
    movq STF_RAX(%rdi), %rdx
    movq %rdx, VMCB_RAX(%rcx)
    movq $EXIT_RUNNING, VMCB_EXIT_CODE(%rcx) /* conf/gdbcmds/place.py tells by it who has the CPU */
    movq STACK_VMCB_PA(%rsp), %rax
    cmpb $0, SVM_SPECIAL(%rsi)
    jne special
    LOAD_GUEST
    clgi
    sti
    vmload %rax
    vmrun %rax
    vmsave %rax
saved:
    movq STACK_HOST_PA(%rsp), %rax
    vmload %rax
    cli
    stgi                        /* an NMI that has waited comes here */
    movq (%rsp), %rax
    movq %r15, STF_R15(%rax)
    movq %r14, STF_R14(%rax)
    movq %r13, STF_R13(%rax)
    movq %r12, STF_R12(%rax)
    movq %r11, STF_R11(%rax)
    movq %r10, STF_R10(%rax)
    movq %r9, STF_R9(%rax)
    movq %r8, STF_R8(%rax)
    movq %rbp, STF_RBP(%rax)
    movq %rdi, STF_RDI(%rax)
    movq %rsi, STF_RSI(%rax)
    movq %rdx, STF_RDX(%rax)
    movq %rcx, STF_RCX(%rax)
    movq %rbx, STF_RBX(%rax)
    movq STACK_S(%rsp), %rdi
    movq SVM_VMCB(%rdi), %rcx
    movq VMCB_RAX(%rcx), %rdx
    movq %rdx, STF_RAX(%rax)
    movq STACK_RBP(%rsp), %rbp  /* the caller's, for backtraces */
.size asm_svmrun, . - asm_svmrun
.globl asm_svmrun_exit
.type asm_svmrun_exit, @function
asm_svmrun_exit:                    /* gdb stops here at exits */
    call *SVM_VMEXIT(%rdi)
    testb %al, %al
    jnz again

    addq $STACK_OWN, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret

    /* DR7 comes with the VMCB; but QEMU does not arm its breakpoints then, nor disarm them at the exit.
     * Between the two moves they are armed in the host, too: svm_arm leaves out those that could be
     * met here, on these instructions or on the stack. */
special:
    movq SVM_ENTRY_DR7(%rsi), %rdx
    movq %rdx, STACK_DR7(%rsp)
    LOAD_GUEST
    clgi
    sti
    vmload %rax
    movq STACK_DR7(%rsp), %rax
    movq %rax, %dr7
    movq STACK_VMCB_PA(%rsp), %rax
    vmrun %rax
    vmsave %rax
    movl $DR7_RESET, %eax
    movq %rax, %dr7
    jmp saved
.globl asm_svmrun_end
asm_svmrun_end:
.size asm_svmrun_exit, . - asm_svmrun_exit

.section .note.GNU-stack, "", @progbits
