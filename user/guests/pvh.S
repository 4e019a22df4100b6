/*
 * pvh: an ELF file with the note of a PVH entry point (Xen "x86/HVM direct boot ABI"), which checks
 * what it is promised there: 32-bit protected mode without paging, the description of the machine
 * with memory map and ACPI's root pointer. It prints the command line and the first module on COM1,
 * and switches off by ACPI's sleep register. Its ELF entry point is another one, which fails.
 */
#include <inc/mmu.h>
#include <inc/uart.h>

#define PVH_MAGIC      0x336ec578
#define NOTE_ENTRY     18
#define LOAD_ADDRESS   0x1000000
#define MEMORY         0x200000

/* Of hvm_start_info. */
#define VERSION        4
#define NR_MODULES     12
#define MODULES        16
#define CMDLINE        24
#define RSDP           32
#define MEMMAP_ENTRIES 48

#define SLEEP_CONTROL  0x605
#define SLEEP_S5       (0x20 | 5 << 2)

        .section .text
        .code32
.globl start
start:
        movl    $wrong_entry, %esi
        jmp     failed

pvh_entry:
        movl    $LOAD_ADDRESS + MEMORY, %esp
        movl    $no_magic, %esi
        cmpl    $PVH_MAGIC, (%ebx)
        jne     failed
        movl    $old, %esi
        cmpl    $1, VERSION(%ebx)
        jb      failed
        movl    $wrong_mode, %esi
        movl    %cr0, %eax
        testl   $CR0_PG, %eax
        jnz     failed
        testl   $CR0_PE, %eax
        jz      failed
        movl    $no_map, %esi
        cmpl    $2, MEMMAP_ENTRIES(%ebx)
        jb      failed
        movl    $no_rsdp, %esi
        movl    RSDP(%ebx), %eax
        testl   %eax, %eax
        jz      failed
        cmpl    $0x20445352, (%eax)     /* "RSD " */
        jne     failed

        movl    CMDLINE(%ebx), %esi
        call    print
        cmpl    $0, NR_MODULES(%ebx)
        je      2f
        movl    MODULES(%ebx), %edi
        movl    (%edi), %esi
        movl    8(%edi), %ecx
        movl    $COM1, %edx
1:      lodsb
        outb    %al, %dx
        loop    1b
2:      movl    $good, %esi
failed: call    print
        movl    $SLEEP_CONTROL, %edx
        movb    $SLEEP_S5, %al
        outb    %al, %dx
3:      hlt
        jmp     3b

/* Print the string at ESI. */
print:
        movl    $COM1, %edx
1:      lodsb
        testb   %al, %al
        jz      2f
        outb    %al, %dx
        jmp     1b
2:      ret

good:           .asciz "\npvh: ok\n"
wrong_entry:    .asciz "pvh: FAILED: started at its ELF entry point\n"
no_magic:       .asciz "pvh: FAILED: EBX is not the start information\n"
old:            .asciz "pvh: FAILED: start information without a memory map\n"
wrong_mode:     .asciz "pvh: FAILED: not in protected mode without paging\n"
no_map:         .asciz "pvh: FAILED: no memory map\n"
no_rsdp:        .asciz "pvh: FAILED: no root pointer of ACPI\n"

        .section .note.Xen, "a", @note
        .long   4, 3, 6                 /* another one first, not a multiple of 4 bytes */
        .asciz  "Xen"
        .ascii  "any"
        .balign 4
        .long   4, 4, NOTE_ENTRY
        .asciz  "Xen"
        .long   pvh_entry

        .bss
        .skip   MEMORY - 0x1000

.section .note.GNU-stack, "", @progbits
