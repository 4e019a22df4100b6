/*
 * Where a program starts. The kernel, or spawn, has put argc into RDI and argv into RSI. A spawned program
 * still has the floating-point control words of the one that spawned it, so they are set here.
 */
    .text
    .globl _start
_start:
    fninit
    ldmxcsr mxcsr_default
    xorl    %ebp, %ebp /* backtraces end here */
    andq    $-16, %rsp
    call    libmain
    ud2

    .section .rodata
    .balign 4
mxcsr_default:
    .long   0x1f80 /* SDM "MXCSR Control and Status Register": all exceptions masked, round to nearest */
