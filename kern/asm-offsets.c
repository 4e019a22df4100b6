/*
 * Makes kern/asm-offsets.h: constants of C structures for assembly. Compiled to assembly text only;
 * the build turns each comment line "->NAME value" into a #define.
 */
#include <inc/syscall.h>
#include <kern/cpu.h>

#define CONSTANT(name, value) asm volatile("\n#->" #name " %c0" : : "i"(value))

void asm_offsets(void);

void asm_offsets(void)
{
    CONSTANT(CPU_SELF, offsetof(struct Cpu, cpu_self));
    CONSTANT(CPU_KSTACK_TOP, offsetof(struct Cpu, cpu_kstack_top));
    CONSTANT(CPU_USER_TF_END, offsetof(struct Cpu, cpu_tss.rsp[0]));
    CONSTANT(CPU_SCRATCH, offsetof(struct Cpu, cpu_scratch));
    CONSTANT(CPU_TIMER_CHECK, offsetof(struct Cpu, cpu_timer_check));
    CONSTANT(KSTACK_BYTES, KSTACK_SIZE);
    CONSTANT(TF_SIZE, sizeof(struct Trapframe));
    CONSTANT(TF_R15, offsetof(struct Trapframe, tf_r15));
    CONSTANT(TF_R14, offsetof(struct Trapframe, tf_r14));
    CONSTANT(TF_R13, offsetof(struct Trapframe, tf_r13));
    CONSTANT(TF_R12, offsetof(struct Trapframe, tf_r12));
    CONSTANT(TF_R10, offsetof(struct Trapframe, tf_r10));
    CONSTANT(TF_R9, offsetof(struct Trapframe, tf_r9));
    CONSTANT(TF_R8, offsetof(struct Trapframe, tf_r8));
    CONSTANT(TF_RBP, offsetof(struct Trapframe, tf_rbp));
    CONSTANT(TF_RDI, offsetof(struct Trapframe, tf_rdi));
    CONSTANT(TF_RSI, offsetof(struct Trapframe, tf_rsi));
    CONSTANT(TF_RDX, offsetof(struct Trapframe, tf_rdx));
    CONSTANT(TF_RBX, offsetof(struct Trapframe, tf_rbx));
    CONSTANT(TF_RAX, offsetof(struct Trapframe, tf_rax));
    CONSTANT(TF_TRAPNO, offsetof(struct Trapframe, tf_trapno));
    CONSTANT(TF_RIP, offsetof(struct Trapframe, tf_rip));
    CONSTANT(TF_CS, offsetof(struct Trapframe, tf_cs));
    CONSTANT(TF_RFLAGS, offsetof(struct Trapframe, tf_rflags));
    CONSTANT(TF_RSP, offsetof(struct Trapframe, tf_rsp));
    CONSTANT(SYSCALL_COUNT, NSYSCALLS);
}
