/*
 * The ways into the kernel and back: exceptions and interrupts, SYSCALL, and env_pop_tf.
 *
 * Interrupted user code is saved right into its env's env_tf: TSS.RSP0 (CPU_USER_TF_END) points at its
 * end. Interrupted kernel code (the idle loop, a fault in user-memory access, a bug) is saved
 * on the kernel stack. The picture is the same, struct Trapframe:
 *
 *      SS              <- end of env_tf, or the interrupted RSP, 16-byte aligned
 *      RSP
 *      RFLAGS
 *      CS
 *      RIP
 *      error code      pushed by the CPU, or 0
 *      trap number
 *      RAX ... R15     <- struct Trapframe *
 */
#include <inc/mmu.h>
#include <inc/trap.h>
#include <kern/asm-offsets.h>

.macro PUSH_REGS
    pushq %rax
    pushq %rbx
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %rbp
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
.endm

.macro POP_REGS
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rbp
    popq %rdi
    popq %rsi
    popq %rdx
    popq %rcx
    popq %rbx
    popq %rax
.endm

/* An interrupt gate leaves RFLAGS.AC as it was, and set it opens user memory to the kernel (SMAP).
 * IRETQ brings it back for user_copy. */
.macro CLOSE_USER_MEMORY
    cmpb $0, user_smap
    je 1f
    clac
1:
.endm

.text
/* One 16-byte stub for each vector that the IDT has: trap_stubs + 16 * vector. */
.balign 16
.globl trap_stubs
trap_stubs:
.set vec, 0
.rept TRAP_VECTORS
    .balign 16
    /* #DF, #TS, #NP, #SS, #GP, #PF, #AC, #CP, #VC and #SX bring an error code (SDM "Error Code"). */
    .if (vec == 8) || ((vec >= 10) && (vec <= 14)) || (vec == 17) || (vec == 21) || (vec == 29) || (vec == 30)
    .else
    pushq $0
    .endif
    pushq $vec
    .if (vec == T_NMI) || (vec == T_DBLFLT) || (vec == T_MCHK)
    jmp trap_paranoid
    .else
    jmp trap_common
    .endif
    .set vec, vec + 1
.endr
.balign 16

trap_common:
    PUSH_REGS
    cld
    CLOSE_USER_MEMORY
    movq %rsp, %rdi
    testb $3, TF_CS(%rsp)
    jz trap_from_kernel
    swapgs
    movq %rdi, %rbx
    movq %gs:CPU_KSTACK_TOP, %rsp
    xorl %ebp, %ebp
    call trap
    movq %rbx, %rsp
    POP_REGS
    addq $16, %rsp                  /* trap number, error code */
    swapgs
    iretq

trap_from_kernel:
    call trap
    POP_REGS
    addq $16, %rsp
    iretq

/*
 * NMI, double fault and machine check can strike anywhere, also between SWAPGS and the switch of stacks:
 * they have stacks of their own (IST), and look at the GS base itself: the kernel's is negative. The
 * handler gets the frame, and whether GS held user code's base.
 */
.macro PARANOID handler
    PUSH_REGS
    cld
    CLOSE_USER_MEMORY
    xorl %ebx, %ebx
    movl $MSR_GS_BASE, %ecx
    rdmsr
    testl %edx, %edx
    js 1f
    swapgs
    incl %ebx
1:  movq %rsp, %rdi
    movl %ebx, %esi
    call \handler
    testl %ebx, %ebx
    jz 1f
    swapgs
1:  POP_REGS
    addq $16, %rsp
    iretq
.endm

trap_paranoid:
    PARANOID trap

/* With the gdb stub on, its vectors come here (kern/gdb/stub.c has the same order). A debug exception or a
 * breakpoint can strike anywhere, too. */
.balign 16
.globl gdb_stubs
gdb_stubs:
.irp vec, T_DEBUG, T_NMI, T_BRKPT, (IRQ_OFFSET + IRQ_SERIAL2)
    .balign 16
    pushq $0
    pushq $\vec
    jmp gdb_paranoid
.endr
.balign 16
gdb_paranoid:
    PARANOID gdb_trap

/*
 * SYSCALL: RCX = user RIP, R11 = user RFLAGS, RSP still the user's, interrupts off by SFMASK. The frame is
 * written at fixed places instead of pushed: user code's segments are in it from the start and never
 * change, and what RCX and R11 held before is lost to the instruction anyway. The handler preserves RBX, RBP, R12-R15 as every C function does, so the way back reloads only the others. A handler
 * that blocks, or changes more of the caller's registers, leaves by sched_yield instead.
 */
.globl syscall_entry
syscall_entry:
    swapgs
    movq %rsp, %gs:CPU_SCRATCH
    movq %gs:CPU_USER_TF_END, %rsp
    movq %rcx, (TF_RIP - TF_SIZE)(%rsp)
    movq %gs:CPU_SCRATCH, %rcx
    movq %rcx, (TF_RSP - TF_SIZE)(%rsp)
    movq %r11, (TF_RFLAGS - TF_SIZE)(%rsp)
    movq $T_SYSCALL, (TF_TRAPNO - TF_SIZE)(%rsp)
    movq %rax, (TF_RAX - TF_SIZE)(%rsp)
    movq %rbx, (TF_RBX - TF_SIZE)(%rsp)
    movq %rdx, (TF_RDX - TF_SIZE)(%rsp)
    movq %rsi, (TF_RSI - TF_SIZE)(%rsp)
    movq %rdi, (TF_RDI - TF_SIZE)(%rsp)
    movq %rbp, (TF_RBP - TF_SIZE)(%rsp)
    movq %r8, (TF_R8 - TF_SIZE)(%rsp)
    movq %r9, (TF_R9 - TF_SIZE)(%rsp)
    movq %r10, (TF_R10 - TF_SIZE)(%rsp)
    movq %r12, (TF_R12 - TF_SIZE)(%rsp)
    movq %r13, (TF_R13 - TF_SIZE)(%rsp)
    movq %r14, (TF_R14 - TF_SIZE)(%rsp)
    movq %r15, (TF_R15 - TF_SIZE)(%rsp)
    movq %gs:CPU_KSTACK_TOP, %rsp
    cmpq $SYSCALL_COUNT, %rax
    jae bad_syscall
    movq %r10, %rcx
    call *syscall_table(, %rax, 8)
syscall_exit:
    cmpq $0, %gs:CPU_TIMER_CHECK
    jne arm_timer
syscall_return:
    movq %gs:CPU_USER_TF_END, %rdx
    subq $TF_SIZE, %rdx
    movq TF_R10(%rdx), %r10
    movq TF_R9(%rdx), %r9
    movq TF_R8(%rdx), %r8
    movq TF_RDI(%rdx), %rdi
    movq TF_RSI(%rdx), %rsi
    movq TF_RIP(%rdx), %rcx
    movq TF_RFLAGS(%rdx), %r11
    movq TF_RSP(%rdx), %rsp
    movq TF_RDX(%rdx), %rdx
    swapgs
    sysretq

/* The call made another env runnable: this one's time slice starts now. */
arm_timer:
    pushq %rax
    pushq %rax                      /* twice, for the alignment */
    call sched_arm_timer
    popq %rax
    popq %rax
    jmp syscall_return

bad_syscall:
    call syscall_unknown
    jmp syscall_exit

/*
 * void env_pop_tf(struct Trapframe *tf): load all registers and go to user mode. A frame that SYSCALL saved
 * goes back by SYSRET; kern/syscall.c keeps its RIP in user space.
 */
.globl env_pop_tf
env_pop_tf:
    cmpq $T_SYSCALL, TF_TRAPNO(%rdi)
    je 1f
    movq %rdi, %rsp
    POP_REGS
    addq $16, %rsp
    swapgs
    iretq
1:  movq TF_R15(%rdi), %r15
    movq TF_R14(%rdi), %r14
    movq TF_R13(%rdi), %r13
    movq TF_R12(%rdi), %r12
    movq TF_R10(%rdi), %r10
    movq TF_R9(%rdi), %r9
    movq TF_R8(%rdi), %r8
    movq TF_RBP(%rdi), %rbp
    movq TF_RSI(%rdi), %rsi
    movq TF_RDX(%rdi), %rdx
    movq TF_RBX(%rdi), %rbx
    movq TF_RAX(%rdi), %rax
    movq TF_RIP(%rdi), %rcx
    movq TF_RFLAGS(%rdi), %r11
    movq TF_RSP(%rdi), %rsp
    movq TF_RDI(%rdi), %rdi
    swapgs
    sysretq

/* void sched_yield(void): start over on an empty kernel stack. */
.globl sched_yield
sched_yield:
    movq %gs:CPU_KSTACK_TOP, %rsp
    xorl %ebp, %ebp
    call sched_next
    ud2

/*
 * size_t user_copy(void *dst, const void *src, size_t len): copy to or from user memory.
 * int user_copystr(char *dst, const char *src, size_t size): copy up to and with the NUL.
 * A page fault between user_access_start and user_access_end makes them return -1 (kern/trap.c).
 */
.globl user_access_start, user_access_end, user_access_fault
user_access_start:
.globl user_copy
user_copy:
    cmpb $0, user_smap
    je 1f
    stac
1:  movq %rdx, %rcx
    shrq $3, %rcx
    rep movsq
    movl %edx, %ecx
    andl $7, %ecx
    rep movsb
    xorl %eax, %eax
    jmp user_access_done

.globl user_copystr
user_copystr:
    cmpb $0, user_smap
    je 1f
    stac
1:  xorl %ecx, %ecx
2:  cmpq %rdx, %rcx
    jae 3f
    movb (%rsi, %rcx), %al
    movb %al, (%rdi, %rcx)
    incq %rcx
    testb %al, %al
    jnz 2b
3:  movq %rcx, %rax
    jmp user_access_done
user_access_end:

user_access_fault:
    movq $-1, %rax
user_access_done:
    cmpb $0, user_smap
    je 1f
    clac
1:  ret
.section .note.GNU-stack, "", @progbits
