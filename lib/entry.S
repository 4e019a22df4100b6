/*
 * Where a program starts. The kernel, or spawn, has put argc into RDI and argv into RSI.
 */
    .text
    .globl _start
_start:
    xorl    %ebp, %ebp /* backtraces end here */
    andq    $-16, %rsp
    call    libmain
    ud2
