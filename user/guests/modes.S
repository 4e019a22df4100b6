/*
 * Ways out of long mode for the guests that try other modes: to 32-bit protected mode without paging, a
 * hardware task switch there, and real mode. None of them comes back.
 */
#include <inc/mmu.h>
#include <inc/trap.h>
#include <inc/uart.h>
#include "rt.h"

#define SEL_CODE32  0x08
#define SEL_DATA32  0x10
#define SEL_CODE16  0x18
#define SEL_DATA16  0x20
#define SEL_TASK_A  0x28
#define SEL_TASK_B  0x30
#define TSS32_SIZE  104
#define TYPE_BUSY_TSS 0x8b
#define EFLAGS_NT   0x4002
#define TASK_STACK  64
#define REAL_BASE   0x8000          /* where real-mode code is copied to */
#define REAL_STACK  0x7000
#define IVT_LIMIT   0x3ff
#define IVT_ENTRY   4
#define PORT_EXIT   0x501
#define JMP_REL16   0xe9
#define COLD_IVT    0x800000        /* in memory that nothing has touched */
#define ADDRESS_SIZE 0x67           /* instruction prefix */
#define EXPECTED_GP 6
#define PAGE_4M     (PTE_P | PTE_W | PTE_PS)
#define PSE_4GIB    (1 << 13)
#define PSE_RESERVED (1 << 21)
#define VA_4GIB     0x10000000
#define VA_RESERVED 0x20000000
#define PDE_4GIB    (pse_pd + 4 * (VA_4GIB >> 22))
#define PDE_RESERVED (pse_pd + 4 * (VA_RESERVED >> 22))
#define LOW_BYTE    0x700
#define PORT_NOBODY 0x2f8

        .text
        .code64
/* void leave_long_mode(const void *code): run 32-bit code with flat segments, without paging. */
        .globl  leave_long_mode
leave_long_mode:
        cli
        movl    $task_b, %eax           /* the base of the second task's segment */
        movw    %ax, modes_gdt + SEL_TASK_B + 2
        shrl    $16, %eax
        movb    %al, modes_gdt + SEL_TASK_B + 4
        movl    $task_a, %eax
        movw    %ax, modes_gdt + SEL_TASK_A + 2
        shrl    $16, %eax
        movb    %al, modes_gdt + SEL_TASK_A + 4
        lgdt    modes_gdt_desc
        pushq   $SEL_CODE32
        pushq   $1f
        lretq
        .code32
1:      movl    %cr0, %eax
        andl    $~CR0_PG, %eax
        movl    %eax, %cr0
        movl    $MSR_EFER, %ecx
        rdmsr
        andl    $~EFER_LME, %eax
        wrmsr
        movl    $SEL_DATA32, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        jmp     *%edi

/* Task switches: by a far jump, a far call, a task gate, and an IRET with NT set, which goes to the task
 * that the present one's state names. */
        .globl  task_by_jmp, task_by_call, task_by_gate, task_by_iret
task_by_jmp:
        movl    $SEL_TASK_A, %eax
        ltr     %ax
        ljmp    $SEL_TASK_B, $0
        jmp     came_back
task_by_call:
        movl    $SEL_TASK_A, %eax
        ltr     %ax
        movl    $(task_stack + TASK_STACK), %esp
        lcall   $SEL_TASK_B, $0
        jmp     came_back
task_by_gate:
        movl    $SEL_TASK_A, %eax
        ltr     %ax
        lidtl   task_idt_desc
        int     $0
        jmp     came_back
task_by_iret:
        movl    $SEL_TASK_A, %eax
        ltr     %ax
        movl    $SEL_TASK_B, task_a     /* the link to the task before */
        movb    $TYPE_BUSY_TSS, modes_gdt + SEL_TASK_B + 5
        movl    $(task_stack + TASK_STACK), %esp
        pushl   $EFLAGS_NT
        popfl
        iretl
came_back:
        movb    $1, %al                 /* a failure */
        movw    $PORT_EXIT, %dx
        outb    %al, %dx
1:      hlt
        jmp     1b

/* 32-bit paging with pages of 4 MiB, whose entries have address bits 32 to 39 as well: one maps
 * what is at 4 GiB, and one has a reserved bit. Each step is tried by string I/O, which the
 * VMM carries out, and by the CPU. Exits with the number of the step that failed; 0: none. */
        .globl  go_pse36
go_pse36:
        movl    $on_pf, %eax
        movw    %ax, pf_gate
        shrl    $16, %eax
        movw    %ax, pf_gate + 6
        lidtl   pf_idt_desc
        movl    $(task_stack + TASK_STACK), %esp
        movl    $PAGE_4M, pse_pd        /* the guest's image is in these 8 MiB */
        movl    $(PAGE_4M + (4 << 20)), pse_pd + 4
        movl    $(PAGE_4M | PSE_4GIB), PDE_4GIB
        movl    $(PAGE_4M | PSE_RESERVED), PDE_RESERVED
        movl    $CR4_PSE, %eax
        movl    %eax, %cr4
        movl    $pse_pd, %eax
        movl    %eax, %cr3
        movl    %cr0, %eax
        orl     $CR0_PG, %eax
        movl    %eax, %cr0
        movl    $PORT_NOBODY, %edx

        incl    pse_step                /* 1: OUTS sets the accessed flag only */
        movl    $(VA_4GIB + 0x123), %esi
        outsb
        movl    PDE_4GIB, %eax
        andl    $(PTE_A | PTE_D), %eax
        cmpl    $PTE_A, %eax
        jne     pse_end
        incl    pse_step                /* 2: INS goes to 4 GiB and not to 0, and sets both */
        movb    $0x11, LOW_BYTE
        movl    $(VA_4GIB + LOW_BYTE), %edi
        insb
        movl    PDE_4GIB, %eax
        testl   $PTE_D, %eax
        jz      pse_end
        cmpb    $0x11, LOW_BYTE
        jne     pse_end
        cmpb    $0xff, VA_4GIB + LOW_BYTE
        jne     pse_end
        incl    pse_step                /* 3: the CPU faults on the reserved bit */
        movl    $1f, pf_resume
        movb    $0, VA_RESERVED
1:      cmpl    $(FEC_PR | FEC_WR | FEC_RSVD), pf_error
        jne     pse_end
        incl    pse_step                /* 4: and so does INS */
        movl    $0, pf_error
        movl    $2f, pf_resume
        movl    $VA_RESERVED, %edi
        insb
2:      cmpl    $(FEC_PR | FEC_WR | FEC_RSVD), pf_error
        jne     pse_end
        movl    %cr2, %eax
        cmpl    $VA_RESERVED, %eax
        jne     pse_end
        movl    $0, pse_step
pse_end:
        movl    pse_step, %eax
        movw    $PORT_EXIT, %dx
        outb    %al, %dx
1:      hlt
        jmp     1b

on_pf:  popl    pf_error
        pushl   %eax
        movl    pf_resume, %eax
        movl    %eax, 4(%esp)
        popl    %eax
        iretl

/* Copy the code below to where real mode can run it, and go there. */
        .globl  go_real
go_real:
        movl    $real_begin, %esi
        movl    $REAL_BASE, %edi
        movl    $(real_end - real_begin), %ecx
        rep movsb
        ljmpl   $SEL_CODE16, $(REAL_BASE + pm16 - real_begin)

        .code16
real_begin:
#define REAL(label) (REAL_BASE + label - real_begin)
pm16:   movw    $SEL_DATA16, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movl    %cr0, %eax
        andb    $~CR0_PE, %al
        movl    %eax, %cr0
        ljmp    $0, $REAL(real)
real:   xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movl    $REAL_STACK, %esp
        lidtl   REAL(ivt_desc)
        cmpb    $0, REAL(real_bytes)
        jne     8f
        movw    $REAL(on_gp), 13 * IVT_ENTRY
        movw    $0, 13 * IVT_ENTRY + 2

        movw    $REAL(1f), REAL(resume)
        movl    $0x10000, %ebx          /* one byte above the limit */
        movl    (%ebx), %eax
1:      movw    $REAL(2f), REAL(resume)
        movl    $0xfffffffc, %ebx       /* the end of 32-bit addresses */
        movl    (%ebx), %eax
2:      movw    $REAL(3f), REAL(resume)
        movw    $0xffff, %si            /* across the limit */
        movw    (%si), %ax
3:      movw    $REAL(4f), REAL(resume)
        movw    $0x2f8, %dx
        movw    $0xffff, %si            /* the same with string I/O */
        outsw
4:      movw    $REAL(5f), REAL(resume)
        movl    $0x10000, %edi
        .byte   ADDRESS_SIZE            /* of 32 bits */
        insb
5:      movw    $REAL(6f), REAL(resume)
        movb    $JMP_REL16, 0           /* a vector table of zeros leads to address 0 */
        movw    $(REAL(on_gp) - 3), 1
        lidtl   REAL(cold_ivt_desc)
        movl    (%ebx), %eax            /* the table's memory is touched while #GP is delivered */
6:      lidtl   REAL(ivt_desc)
        movw    $REAL(words_ok), %si
        cmpb    $EXPECTED_GP, REAL(count)
        je      put
        movw    $REAL(words_bad), %si
put:    lodsb
        testb   %al, %al
        jz      end
        movb    %al, %bl
        movw    $(COM1 + COM_LSR), %dx
wait:   inb     %dx, %al
        testb   $LSR_TEMT, %al
        jz      wait
        movb    %bl, %al
        movw    $COM1, %dx
        outb    %al, %dx
        jmp     put
end:    movb    $EXPECTED_GP, %al
        subb    REAL(count), %al
        movw    $PORT_EXIT, %dx
        outb    %al, %dx
9:      hlt
        jmp     9b
8:      ljmp    $0, $REAL_BYTES

on_gp:  incb    REAL(count)
        pushw   %bp
        movw    %sp, %bp
        pushw   %ax
        movw    REAL(resume), %ax
        movw    %ax, 2(%bp)
        popw    %ax
        popw    %bp
        iretw

        .balign 4
ivt_desc:
        .word   IVT_LIMIT
        .long   0
cold_ivt_desc:
        .word   IVT_LIMIT
        .long   COLD_IVT
resume: .word   0
count:  .byte   0
        .globl  real_bytes              /* not 0: go to what is at REAL_BYTES instead */
real_bytes:
        .byte   0
words_ok:
        .asciz  "real-mode: ok\n"
words_bad:
        .asciz  "real-mode: FAILED: not every address above the limit is #GP\n"
real_end:

        .data
        .balign 8
modes_gdt:
        .quad   0
        .quad   0x00cf9b000000ffff      /* 32-bit code, 4 GiB */
        .quad   0x00cf93000000ffff      /* 32-bit data */
        .quad   0x00009b000000ffff      /* 16-bit code, 64 KiB */
        .quad   0x000093000000ffff      /* 16-bit data */
        .quad   0x0000890000000000 + TSS32_SIZE - 1
        .quad   0x0000890000000000 + TSS32_SIZE - 1
modes_gdt_desc:
        .word   . - modes_gdt - 1
        .quad   modes_gdt

pf_idt: .fill   T_PGFLT, 8, 0
pf_gate:
        .word   0, SEL_CODE32, 0x8e00, 0
pf_idt_desc:
        .word   . - pf_idt - 1
        .long   pf_idt

task_gate:                              /* vector 0 */
        .word   0, SEL_TASK_B, 0x8500, 0
task_idt_desc:
        .word   . - task_gate - 1
        .long   task_gate

        .bss
        .balign 16
task_stack:
        .space  TASK_STACK
pse_step:
        .space  4
pf_error:
        .space  4
pf_resume:
        .space  4
        .balign PGSIZE
pse_pd: .space  PGSIZE
task_a: .space  TSS32_SIZE
        .balign 16
task_b: .space  TSS32_SIZE

        .section .note.GNU-stack, "", @progbits
