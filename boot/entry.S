/*
 * The loader's assembly: the way into 32-bit protected mode, the way back to the BIOS for one
 * call, and the jump to the kernel. One stack, below the boot sector, serves both modes.
 */
#include <boot/boot.h>
#include <inc/multiboot.h>

/* Load all data segments with a selector; clobbers AX. */
.macro LOAD_SEGMENTS selector
    movw    $\selector, %ax
    movw    %ax, %ds
    movw    %ax, %es
    movw    %ax, %fs
    movw    %ax, %gs
    movw    %ax, %ss
.endm

    .section .boot.entry, "ax"

/* From the boot sector: real mode, CS = DS = ES = SS = 0. */
    .code16
    .globl loader_entry
loader_entry:
    cli
    lgdtl   gdt_pointer
    movl    %cr0, %eax
    orb     $BOOT_CR0_PE, %al
    movl    %eax, %cr0
    ljmpl   $SEL_CODE32, $protected_entry

    .code32
protected_entry:
    LOAD_SEGMENTS SEL_DATA32
    movl    $boot_start, %esp
    xorl    %eax, %eax
    movl    $bss_start, %edi
    movl    $bss_dwords, %ecx
    rep stosl
    call    loader_main             /* does not return */

/*
 * void bios_call(uint32_t vector): do INT vector in real mode with the registers in bios_regs, and leave
 * there what it returned. Segment registers are 0 at the call.
 *
 * struct BiosRegs is what PUSHFL and then PUSHAL leave on a stack, so that pointing the stack pointer at
 * it loads or stores it as a whole:
 *
 *      bios_regs ->  edi esi ebp (esp) ebx edx ecx eax eflags  <- bios_regs_end
 */
    .globl bios_call
bios_call:
    pushl   %ebp
    pushl   %ebx
    pushl   %esi
    pushl   %edi
    movl    20(%esp), %eax          /* four saved registers, return address, vector */
    movl    (,%eax,4), %eax         /* interrupt vector table: offset and segment */
    movl    %eax, handler
    movl    %esp, saved_esp
    ljmp    $SEL_CODE16, $to_real   /* real mode keeps the limits of 16-bit segments */

    .code16
to_real:
    LOAD_SEGMENTS SEL_DATA16
    movl    %cr0, %eax
    andb    $~BOOT_CR0_PE, %al
    movl    %eax, %cr0
    ljmp    $0, $in_real
in_real:
    LOAD_SEGMENTS 0
    movw    $bios_regs, %sp
    popal
    movw    saved_esp, %sp
    sti
    pushfw                          /* as INT does: save FLAGS, turn IF off, call */
    cli
    lcallw  *handler
    cli
    movw    $bios_regs_end, %sp
    pushfl
    pushal
    LOAD_SEGMENTS 0
    lgdtl   gdt_pointer             /* the BIOS may have loaded its own */
    movl    %cr0, %eax
    orb     $BOOT_CR0_PE, %al
    movl    %eax, %cr0
    ljmpl   $SEL_CODE32, $from_real

    .code32
from_real:
    LOAD_SEGMENTS SEL_DATA32
    movl    saved_esp, %esp
    cld
    popl    %edi
    popl    %esi
    popl    %ebx
    popl    %ebp
    ret

/*
 * void kernel_start(uint32_t entry, const struct MultibootInfo *info): enter the kernel in the state of the
 * Multiboot specification, "Machine state". Interrupts are off since loader_entry.
 */
    .globl kernel_start
kernel_start:
    movl    4(%esp), %ecx
    movl    8(%esp), %ebx
    movl    $MULTIBOOT_BOOTLOADER_MAGIC, %eax
    jmp     *%ecx

/* Flat 4 GiB segments, and 64 KiB ones at 0 for the step to real mode: SDM "Segment Descriptors". */
    .section .data, "aw"
    .balign 8
gdt:
    .quad   0
    .quad   0x00cf9b000000ffff      /* SEL_CODE32: execute, read */
    .quad   0x00cf93000000ffff      /* SEL_DATA32: read, write */
    .quad   0x00009b000000ffff      /* SEL_CODE16 */
    .quad   0x000093000000ffff      /* SEL_DATA16 */
gdt_end:

    .word   0                       /* aligns the base */
gdt_pointer:
    .word   gdt_end - gdt - 1
    .long   gdt

handler:
    .long   0
saved_esp:
    .long   0

    .bss
    .balign 4
    .globl bios_regs
bios_regs:
    .skip   36
bios_regs_end:
