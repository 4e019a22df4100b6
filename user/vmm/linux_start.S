/*
 * From 32-bit protected mode, where a guest starts, to a Linux kernel's 64-bit entry point ("The
 * Linux/x86 Boot Protocol", "64-bit Boot Protocol"): long mode with paging, the segments 0x10 and
 * 0x18, RSI = boot parameters. The entry point is in RDI. A copy of this runs in the guest, at
 * LINUX_START: addresses are relative to that.
 */
#include <inc/mmu.h>
#include <user/vmm/linux_start.h>

#define AT(label) (LINUX_START + (label) - linux_start)
#define CODE_SEL  0x10
#define DATA_SEL  0x18

.section .rodata
.globl linux_start, linux_start_end
.balign 8
linux_start:
    .code32
    lgdt    AT(gdtr)
    movl    %cr4, %eax
    orl     $CR4_PAE, %eax
    movl    %eax, %cr4
    movl    $LINUX_PML4, %eax
    movl    %eax, %cr3
    movl    $MSR_EFER, %ecx
    rdmsr
    orl     $EFER_LME, %eax
    wrmsr
    movl    %cr0, %eax
    orl     $CR0_PG, %eax
    movl    %eax, %cr0
    ljmp    $CODE_SEL, $AT(in_64bit)
    .code64
in_64bit:
    movl    $DATA_SEL, %eax
    movl    %eax, %ds
    movl    %eax, %es
    movl    %eax, %ss
    movl    %edi, %edi
    jmp     *%rdi

.balign 8
gdt:
    .quad   0, 0
    .quad   0x00af9b000000ffff /* code, 64-bit */
    .quad   0x00cf93000000ffff /* data */
gdtr:
    .word   gdtr - gdt - 1
    .long   AT(gdt)
linux_start_end:

.section .note.GNU-stack, "", @progbits
