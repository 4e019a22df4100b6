/*
 * Where a Multiboot loader enters the kernel: 32-bit protected mode, paging off, EAX = magic, EBX =
 * physical address of the boot information (Multiboot "Machine state"). Builds the first page tables,
 * switches to long mode and calls kernel_main on the boot CPU's kernel stack.
 *
 * The first 1 GiB of physical memory is mapped three times with 2 MiB pages: at 0 (this code runs
 * there), at KERNBASE and at KERNEL_VMA. mem_init replaces these tables.
 */
#include <inc/mmu.h>
#include <inc/multiboot.h>
#include <kern/asm-offsets.h>

#define PHYS(sym) ((sym) - KERNEL_VMA)
#define MB_FLAGS (MULTIBOOT_PAGE_ALIGN | MULTIBOOT_MEMORY_INFO)

#define COM1_DATA 0x3f8
#define COM1_LSR  0x3fd
#define LSR_THRE  0x20
#define VGA_TEXT  0xb8000

#define CPUID_EXT_MAX  0x80000000
#define CPUID_EXT      0x80000001
#define CPUID_EXT_LM   29
#define CPUID_EXT_NX   20

.section .multiboot, "a"
.balign 4
    .long MULTIBOOT_HEADER_MAGIC
    .long MB_FLAGS
    .long -(MULTIBOOT_HEADER_MAGIC + MB_FLAGS)

/* From protected mode without paging to 64-bit code at \target, with the boot page tables and boot_efer. */
.macro ENTER_LONG_MODE target
    movl $(CR4_PAE | CR4_OSFXSR | CR4_OSXMMEXCPT), %eax
    movl %eax, %cr4
    movl $PHYS(boot_pml4), %eax
    movl %eax, %cr3
    movl $MSR_EFER, %ecx
    movl PHYS(boot_efer), %eax
    xorl %edx, %edx
    wrmsr
    movl $(CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG), %eax
    movl %eax, %cr0
    lgdt boot_gdtr
    ljmp $GD_KT, $1f
.code64
1:  movl $GD_KD, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movabsq $\target, %rax
    jmp *%rax
.code32
.endm

#define GD_BOOT32 0x18 /* 32-bit code, for CPUs on their way up */

.section .boot, "ax"
.code32
.globl _start
_start:
    cli
    cld
    movl %eax, %ebp                 /* magic; CPUID below overwrites EAX and EBX */
    movl %ebx, %esi                 /* boot information */

    movl $CPUID_EXT_MAX, %eax
    cpuid
    cmpl $CPUID_EXT, %eax
    jb no_long_mode
    movl $CPUID_EXT, %eax
    cpuid
    btl $CPUID_EXT_LM, %edx
    jnc no_long_mode

    /* EFER: long mode, SYSCALL, and no-execute where the CPU has it. */
    movl $(EFER_LME | EFER_SCE), %ebx
    btl $CPUID_EXT_NX, %edx
    jnc 1f
    orl $EFER_NXE, %ebx
1:
    /* PML4[0], PML4[KERNBASE], PML4[KERNEL_VMA] -> PDPT[0], PDPT[510] -> the one page directory. */
    movl $PHYS(boot_pml4), %edi
    movl $(PHYS(boot_pdpt) + PTE_P + PTE_W), %eax
    movl %eax, (%edi)
    movl %eax, 256 * 8(%edi)
    movl %eax, 511 * 8(%edi)
    movl $(PHYS(boot_pd) + PTE_P + PTE_W), %eax
    movl %eax, PHYS(boot_pdpt)
    movl %eax, PHYS(boot_pdpt) + 510 * 8
    movl $PHYS(boot_pd), %edx
    movl $(PTE_P | PTE_W | PTE_PS), %eax
    movl $NPTENTRIES, %ecx
1:  movl %eax, (%edx)
    addl $PGSIZE_2M, %eax
    addl $8, %edx
    loop 1b

    movl %ebx, PHYS(boot_efer)
    ENTER_LONG_MODE start64

/* Not a 64-bit CPU: say so on the serial line and the screen, and stop. */
no_long_mode:
    movl $no_long_mode_text, %esi
    movl $VGA_TEXT, %edi
1:  lodsb
    testb %al, %al
    jz 3f
    movb %al, %bl
    movb $0x07, %ah
    stosw
    movw $COM1_LSR, %dx
    movl $0x100000, %ecx            /* a machine without a serial port must get on, too */
2:  inb %dx, %al
    testb $LSR_THRE, %al
    loopz 2b
    movw $COM1_DATA, %dx
    movb %bl, %al
    outb %al, %dx
    jmp 1b
3:  hlt
    jmp 3b
no_long_mode_text:
    .asciz "JOS needs a 64-bit CPU (CPUID says that this one has no long mode).\r\n"

.balign 8
boot_gdt:
    .quad 0
    .quad 0x00af9a000000ffff        /* GD_KT: 64-bit code */
    .quad 0x00cf92000000ffff        /* GD_KD: data */
    .quad 0x00cf9a000000ffff        /* GD_BOOT32 */
boot_gdtr:
    .word . - boot_gdt - 1
    .long boot_gdt

/*
 * An application processor starts here in real mode, at the page that mp_init has copied this to (CS = page / 16,
 * IP = 0; SDM "MP Initialization Protocol"), and goes on in the kernel image.
 */
.code16
.globl ap_trampoline, ap_trampoline_end
ap_trampoline:
    cli
    cld
    movw %cs, %ax
    movw %ax, %ds
    lgdtl ap_gdtr - ap_trampoline
    movl %cr0, %eax
    orl $CR0_PE, %eax
    movl %eax, %cr0
    ljmpl $GD_BOOT32, $ap_start32
ap_gdtr:
    .word boot_gdtr - boot_gdt - 1
    .long boot_gdt
ap_trampoline_end:

.code32
ap_start32:
    movl $GD_KD, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    ENTER_LONG_MODE ap_start64

.text
.code64
start64:
    /* GS base = &cpus[0], so that per-CPU state works from the first line of C on. */
    movq $cpus, %rax
    movq %rax, CPU_SELF(%rax)
    movq %rax, %rdx
    shrq $32, %rdx
    movl $MSR_GS_BASE, %ecx
    wrmsr
    movq $kstacks + KSTACK_BYTES, %rsp
    movl %ebp, %edi                 /* magic */
    xorl %ebp, %ebp
    /* ESI: boot information */
    call kernel_main
1:  hlt
    jmp 1b

ap_start64:
    movq ap_stack_top, %rsp
    xorl %ebp, %ebp
    call ap_main
1:  hlt
    jmp 1b

.bss
.globl ap_stack_top
ap_stack_top: .skip 8
boot_efer: .skip 4
.balign 4096
.globl boot_pml4
boot_pml4: .skip 4096
boot_pdpt: .skip 4096
boot_pd:   .skip 4096
.section .note.GNU-stack, "", @progbits
