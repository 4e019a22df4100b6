/*
 * bzimage: a file as Linux kernels are ("The Linux/x86 Boot Protocol"), with nothing in it but a
 * check of what the 64-bit protocol promises at its entry: long mode, the boot parameters, the
 * command line, a memory map, ACPI's root pointer, the initrd. It prints the command line and the
 * initrd on COM1, and switches off by ACPI's sleep register. With VMLINUX defined it is vmlinux: the
 * same as an ELF file with a note of Linux', whose header its loader has to make; it goes on at the
 * addresses that it is linked at, as Linux does, where a debugger looks for its symbols.
 */
#include <inc/mmu.h>
#include <inc/uart.h>

#define SECTOR        512
#define SETUP_SECTORS 1
#define LOADED_HIGH   0x01
#define KERNEL_64     0x0001
#define LOAD_ADDRESS  0x1000000
#define MEMORY        0x200000 /* that the kernel says it needs */
#define ENTRY_64      0x200
#define CMDLINE_MAX   255
#define INITRD_MAX    0x7fffffff

/* Boot parameters. */
#define ACPI_RSDP     0x70
#define E820_ENTRIES  0x1e8
#define LOADER        0x210
#define INITRD        0x218
#define INITRD_SIZE   0x21c
#define CMDLINE       0x228

#define ENTRIES       512 /* of a page table */

#define SLEEP_CONTROL 0x605
#define SLEEP_S5      (0x20 | 5 << 2)

#define HEADER_MAGIC  0x202
#define LOADFLAGS     0x211

        .section .text
#ifdef VMLINUX
#define NAME          "vmlinux"
.globl start
start:
#else
#define NAME          "bzimage"
        .org    0x1f1
        .byte   SETUP_SECTORS
        .org    0x1f4
        .long   (end - start) / 16
        .org    0x1fe
        .word   0xaa55
        .org    0x202
        .ascii  "HdrS"
        .word   0x20f                   /* protocol 2.15 */
        .org    0x211
        .byte   LOADED_HIGH
        .org    0x22c
        .long   INITRD_MAX
        .org    0x230
        .long   MEMORY                  /* alignment */
        .byte   1                       /* relocatable */
        .org    0x236
        .word   KERNEL_64
        .long   CMDLINE_MAX
        .org    0x258
        .quad   LOAD_ADDRESS
        .long   MEMORY

        .org    (SETUP_SECTORS + 1) * SECTOR
start:
        .org    (SETUP_SECTORS + 1) * SECTOR + ENTRY_64
#endif
        movq    %rsi, %rbx
        movl    $LOAD_ADDRESS + MEMORY, %esp
        xorl    %eax, %eax              /* in 32-bit mode, the next one counts twice */
        .byte   0x48, 0xff, 0xc8        /* decq %rax */
        leaq    no_long_mode(%rip), %rsi
        cmpl    $-1, %eax
        jne     failed
        leaq    no_header(%rip), %rsi
        cmpl    $0x53726448, HEADER_MAGIC(%rbx) /* "HdrS" */
        jne     failed
        testb   $LOADED_HIGH, LOADFLAGS(%rbx)
        jz      failed
        leaq    no_loader(%rip), %rsi
        cmpb    $0, LOADER(%rbx)
        je      failed
        leaq    no_map(%rip), %rsi
        cmpb    $2, E820_ENTRIES(%rbx)
        jb      failed
        leaq    no_rsdp(%rip), %rsi
        movq    ACPI_RSDP(%rbx), %rax
        testq   %rax, %rax
        jz      failed
        movabsq $0x2052545020445352, %rcx /* "RSD PTR " */
        cmpq    %rcx, (%rax)
        jne     failed

#ifdef VMLINUX
        movq    %cr3, %rdi              /* the first GiB once more, at the end */
        movq    (%rdi), %rdx
        andq    $-4096, %rdx
        movq    (%rdx), %rax
        leaq    last_table(%rip), %rdx
        movq    %rax, (ENTRIES - 2) * 8(%rdx)
        orq     $PTE_P | PTE_W, %rdx
        movq    %rdx, (ENTRIES - 1) * 8(%rdi)
        movq    $high, %rax
        jmp     *%rax
high:
#endif
        movl    CMDLINE(%rbx), %esi
        call    print
        movl    INITRD(%rbx), %esi
        movl    INITRD_SIZE(%rbx), %ecx
        jecxz   2f
        movl    $COM1, %edx
1:      lodsb
        outb    %al, %dx
        loop    1b
2:      leaq    good(%rip), %rsi
failed: call    print
        movl    $SLEEP_CONTROL, %edx
        movb    $SLEEP_S5, %al
        outb    %al, %dx
3:      hlt
        jmp     3b

/* Print the string at RSI. */
print:
#ifdef VMLINUX
        incl    printed(%rip)
#endif
        movl    $COM1, %edx
1:      lodsb
        testb   %al, %al
        jz      2f
        outb    %al, %dx
        jmp     1b
2:      ret

good: .ascii "\n"
    .ascii NAME
    .asciz ": ok\n"
no_long_mode: .ascii NAME
    .asciz ": FAILED: not in 64-bit mode\n"
no_header: .ascii NAME
    .asciz ": FAILED: no header in the boot parameters\n"
no_loader: .ascii NAME
    .asciz ": FAILED: no type of loader\n"
no_map: .ascii NAME
    .asciz ": FAILED: no memory map\n"
no_rsdp: .ascii NAME
    .asciz ": FAILED: no root pointer of ACPI\n"
.balign 16
end:

#ifdef VMLINUX
        .section .note.Linux, "a", @note
        .long   6, 4, 0x101
        .asciz  "Linux"
        .balign 4
        .long   0

        .bss
        .balign 0x1000
last_table: .skip ENTRIES * 8
printed: .skip 4                        /* strings so far */
        .skip   MEMORY - 0x2000 - 4
#endif

.section .note.GNU-stack, "", @progbits
