/*
 * Entry of the 64-bit test guests: a Multiboot header, the way from the specified 32-bit machine state to
 * long mode with own tables, exception entry stubs, and excursions to user mode. rt.c does the rest in C.
 */
#include <inc/mmu.h>
#include <inc/multiboot.h>
#include "rt.h"

#define HEADER_FLAGS (MULTIBOOT_PAGE_ALIGN | MULTIBOOT_MEMORY_INFO)
#define TABLE        (PTE_P | PTE_W | PTE_U)
#define STACK_SIZE   16384

        .section .multiboot, "a"
        .balign 4
        .long   MULTIBOOT_HEADER_MAGIC
        .long   HEADER_FLAGS
        .long   -(MULTIBOOT_HEADER_MAGIC + HEADER_FLAGS)

        .text
        .code32
        .globl  start
start:
        cld
        movl    $stack_top, %esp
        movl    %eax, boot_magic
        movl    %ebx, boot_info

        /* Map the first GiB one to one, with 2 MiB pages. */
        movl    $(boot_pdpt + TABLE), boot_pml4
        movl    $(boot_pd + TABLE), boot_pdpt
        movl    $(PTE_P | PTE_W | PTE_PS), %eax
        movl    $boot_pd, %edi
        movl    $NPTENTRIES, %ecx
1:      movl    %eax, (%edi)
        addl    $PGSIZE_2M, %eax
        addl    $8, %edi
        loop    1b

        movl    $(CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT), %eax
        movl    %eax, %cr4
        movl    $boot_pml4, %eax
        movl    %eax, %cr3
        movl    $MSR_EFER, %ecx
        rdmsr
        orl     $(EFER_LME | EFER_NXE), %eax
        wrmsr
        movl    $(CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG), %eax
        movl    %eax, %cr0
        lgdt    gdt_desc
        ljmp    $SEL_KCODE, $start64

        .code64
start64:
        movl    $SEL_KDATA, %eax
        movl    %eax, %ds
        movl    %eax, %es
        movl    %eax, %ss
        xorl    %eax, %eax
        movl    %eax, %fs
        movl    %eax, %gs
        xorl    %ebp, %ebp
        call    rt_main
1:      cli
        hlt
        jmp     1b

/* One stub of STUB_SIZE bytes a vector: pushes a 0 where the CPU pushes no error code, then the vector. */
        .globl  trap_stubs
        .balign STUB_SIZE
trap_stubs:
        .set    vector, 0
        .rept   256
        .balign STUB_SIZE
        .if     (vector == 8) || (vector >= 10 && vector <= 14) || (vector == 17) || (vector == 21)
        .else
        pushq   $0
        .endif
        pushq   $vector
        jmp     trap_common
        .set    vector, vector + 1
        .endr

/* The rest of a struct Trapframe (inc/trap.h): the hardware's part and the number are there already. */
trap_common:
        pushq   %rax
        pushq   %rbx
        pushq   %rcx
        pushq   %rdx
        pushq   %rsi
        pushq   %rdi
        pushq   %rbp
        pushq   %r8
        pushq   %r9
        pushq   %r10
        pushq   %r11
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        cld
        movq    %rsp, %rdi
        call    rt_trap
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
        addq    $16, %rsp
        iretq

/* void user_enter(rip, rdi, rax): go to user mode. rt_trap ends the excursion at user_return. */
        .globl  user_enter, user_return
user_enter:
        pushq   %rbx
        pushq   %rbp
        pushq   %r12
        pushq   %r13
        pushq   %r14
        pushq   %r15
        movq    %rsp, user_saved_rsp
        pushq   $SEL_UDATA
        pushq   $0
        pushq   $FL_ONE
        pushq   $SEL_UCODE
        pushq   %rdi
        movq    %rsi, %rdi
        movq    %rdx, %rax
        iretq
user_return:
        popq    %r15
        popq    %r14
        popq    %r13
        popq    %r12
        popq    %rbp
        popq    %rbx
        ret

/* int64_t hypercall32(nr, rbx, rcx): the hypercall in compatibility mode. */
        .globl  hypercall32
hypercall32:
        pushq   %rbx
        movq    %rdi, %rax
        movq    %rsi, %rbx
        movq    %rdx, %rcx
        pushq   $SEL_COMPAT
        pushq   $1f
        lretq
        .code32
1:      cmpb    $0, %cs:hypercall_is_vmmcall # no data segment is loaded
        jne     3f
        vmcall
        jmp     4f
3:      vmmcall
4:      ljmp    $SEL_KCODE, $2f
        .code64
2:      popq    %rbx
        ret

        .data
        .balign 8
gdt_desc:
        .word   8 * 8 - 1
        .quad   rt_gdt

        .bss
        .balign PGSIZE
        .globl  boot_pml4, boot_pdpt, boot_pd
boot_pml4:
        .space  PGSIZE
boot_pdpt:
        .space  PGSIZE
boot_pd:
        .space  PGSIZE
        .space  STACK_SIZE
stack_top:

        .section .note.GNU-stack, "", @progbits
