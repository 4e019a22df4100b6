/*
 * The page-fault upcall: the kernel comes here on the exception stack, with a struct UTrapframe on top. Calls
 * the C handler with the SSE registers saved, then continues what faulted.
 *
 *   RSP + UTF_RSP    RSP of what faulted
 *   RSP + UTF_RIP    its RIP, then RFLAGS
 *   RSP + UTF_REGS   r15 ... rax
 *   RSP              fault address, error code
 *
 * The return address travels on the stack of what faulted, one word below its RSP: since programs
 * are built without a red zone nothing is there, and on the exception stack the kernel has left
 * that word free. So the last instruction, RET, restores RIP and RSP together.
 */
#define UTF_REGS   16 /* lib/pgfault.c asserts these */
#define UTF_RIP    136
#define UTF_RSP    152
#define WORD       8
#define FXSAVE_SIZE 512

    .text
    .globl _pgfault_upcall
_pgfault_upcall:
    movq    %rsp, %rdi
    movq    %rsp, %rbx
    subq    $FXSAVE_SIZE, %rsp
    andq    $-16, %rsp
    fxsave64 (%rsp)
    cld
    call    pgfault_dispatch
    fxrstor64 (%rsp)
    movq    %rbx, %rsp

    movq    UTF_RSP(%rsp), %rax
    movq    UTF_RIP(%rsp), %rcx
    subq    $WORD, %rax
    movq    %rcx, (%rax)
    movq    %rax, UTF_RSP(%rsp)

    addq    $UTF_REGS, %rsp
    popq    %r15
    popq    %r14
    popq    %r13
    popq    %r12
    popq    %r11
    popq    %r10
    popq    %r9
    popq    %r8
    popq    %rbp
    popq    %rdi
    popq    %rsi
    popq    %rdx
    popq    %rcx
    popq    %rbx
    popq    %rax
    addq    $WORD, %rsp /* RIP is on the other stack */
    popfq
    popq    %rsp
    ret
