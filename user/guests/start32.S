/*
 * hello32 and kludge: kernels that stay in 32-bit protected mode, as the Multiboot specification starts
 * them. One source makes both: hello32 is an ELF32 file; kludge (KLUDGE defined) is a flat file whose header
 * has the load addresses. They check what they were given, print it on COM1 and power off.
 */
#include <inc/multiboot.h>
#include <inc/uart.h>

#ifdef KLUDGE
#define HEADER_FLAGS MULTIBOOT_AOUT_KLUDGE
#define NAME         "kludge"
#else
#define HEADER_FLAGS MULTIBOOT_MEMORY_INFO
#define NAME         "hello32"
#endif

#define MBI_CMDLINE_OFF 16
#define PORT_EXIT       0x501
#define STATUS_OK       0
#define STATUS_BAD      1
#define CR0_PE_PG       0x80000001
#define CR0_PE_ONLY     0x00000001
#define FL_IF           0x200
#define DATA_WORD       0x4a4f5331

        .section .multiboot, "a"
        .balign 4
header:
        .long   MULTIBOOT_HEADER_MAGIC
        .long   HEADER_FLAGS
        .long   -(MULTIBOOT_HEADER_MAGIC + HEADER_FLAGS)
        .long   header, image_start, image_end, bss_end, start

        .text
        .globl  start
start:
        cmpl    $MULTIBOOT_BOOTLOADER_MAGIC, %eax
        jne     bad_magic
        movl    $stack_top, %esp
        movl    %cr0, %eax
        andl    $CR0_PE_PG, %eax
        cmpl    $CR0_PE_ONLY, %eax
        jne     bad_mode
        cmpl    $DATA_WORD, word
        jne     bad_data
        movl    $bss_start, %edi        /* the loader has zeroed bss */
        movl    $bss_end, %ecx
        subl    %edi, %ecx
        xorl    %eax, %eax
        cld
        repe    scasb
        jne     bad_bss
        pushfl
        popl    %eax
        testl   $FL_IF, %eax
        jnz     bad_mode

        movl    $hello, %esi
        call    puts
        movl    MBI_CMDLINE_OFF(%ebx), %esi
        call    puts
        movl    $ok, %esi
        movl    $STATUS_OK, %ebx
end:
        call    puts
        movw    $PORT_EXIT, %dx
        movb    %bl, %al
        outb    %al, %dx
1:      cli
        hlt
        jmp     1b

bad_magic:
        movl    $stack_top, %esp
        movl    $magic_text, %esi
        jmp     bad
bad_mode:
        movl    $mode_text, %esi
        jmp     bad
bad_data:
        movl    $data_text, %esi
        jmp     bad
bad_bss:
        movl    $bss_text, %esi
bad:
        movl    $STATUS_BAD, %ebx
        jmp     end

/* Print the string at ESI. Changes EAX, EDX, ESI. */
puts:
        movw    $(COM1 + COM_LSR), %dx
1:      inb     %dx, %al
        testb   $LSR_THRE, %al
        jz      1b
        lodsb
        testb   %al, %al
        jz      2f
        movw    $(COM1 + COM_DATA), %dx
        outb    %al, %dx
        jmp     puts
2:      ret

        .section .rodata
hello:
        .ascii  NAME
        .asciz  ": in 32-bit protected mode, command line \""
ok:
        .ascii  "\"\n"
        .ascii  NAME
        .asciz  ": ok\n"
magic_text:
        .ascii  NAME
        .asciz  ": FAILED: EAX has no Multiboot magic\n"
mode_text:
        .ascii  NAME
        .asciz  ": FAILED: not in protected mode with paging and interrupts off\n"
bss_text:
        .ascii  NAME
        .asciz  ": FAILED: bss is not zero\n"

data_text:
        .ascii  NAME
        .asciz  ": FAILED: the data segment is not loaded\n"

        .data
word:
        .long   DATA_WORD

        .bss
        .space  8192
stack_top:
        .space  64

        .section .note.GNU-stack, "", @progbits
