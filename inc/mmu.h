/*
 * x86-64 memory-management and control-register definitions (SDM vol. 3, "Paging",
 * "Protected-Mode Memory Management", "System Architecture Overview").
 */
#ifndef JOS_INC_MMU_H
#define JOS_INC_MMU_H

#include "memlayout.h"

/* Control registers: SDM "Control Registers". */
#define CR0_PE (1 << 0)
#define CR0_MP (1 << 1)
#define CR0_EM (1 << 2)
#define CR0_TS (1 << 3)
#define CR0_ET (1 << 4)
#define CR0_NE (1 << 5)
#define CR0_WP (1 << 16)
#define CR0_AM (1 << 18)
#define CR0_NW (1 << 29)
#define CR0_CD (1 << 30)
#define CR0_PG UL(0x80000000)

#define CR4_TSD        (1 << 2)
#define CR4_DE         (1 << 3)
#define CR4_PSE        (1 << 4)
#define CR4_PAE        (1 << 5)
#define CR4_MCE        (1 << 6)
#define CR4_PGE        (1 << 7)
#define CR4_OSFXSR     (1 << 9)
#define CR4_OSXMMEXCPT (1 << 10)
#define CR4_UMIP       (1 << 11)
#define CR4_LA57       (1 << 12)
#define CR4_VMXE       (1 << 13)
#define CR4_SMXE       (1 << 14)
#define CR4_FSGSBASE   (1 << 16)
#define CR4_PCIDE      (1 << 17)
#define CR4_OSXSAVE    (1 << 18)
#define CR4_SMEP       (1 << 20)
#define CR4_SMAP       (1 << 21)

/* RFLAGS: SDM "System Flags and Fields in the EFLAGS Register". */
#define FL_CF   0x1
#define FL_ONE  0x2
#define FL_PF   0x4
#define FL_AF   0x10
#define FL_ZF   0x40
#define FL_SF   0x80
#define FL_TF   0x100
#define FL_IF   0x200
#define FL_DF   0x400
#define FL_OF   0x800
#define FL_IOPL 0x3000
#define FL_NT   0x4000
#define FL_RF   0x10000
#define FL_VM   0x20000
#define FL_AC   0x40000
/* What a user program may set itself. */
#define FL_USER 0x240dd5

/* Page-table entries: SDM "4-Level Paging". */
#define PTE_P   UL(0x001)
#define PTE_W   UL(0x002)
#define PTE_U   UL(0x004)
#define PTE_PWT UL(0x008)
#define PTE_PCD UL(0x010)
#define PTE_A   UL(0x020)
#define PTE_D   UL(0x040)
#define PTE_PS  UL(0x080)
#define PTE_G   UL(0x100)
#define PTE_NX  UL(0x8000000000000000)
/* Bits 9-11 are for software: */
#define PTE_KEEP  UL(0x200) /* with PTE_SHARE: fork shares the page, spawn does not pass it on */
#define PTE_SHARE UL(0x400) /* fork and spawn share the page with the child */
#define PTE_COW   UL(0x800) /* copy before the first write */
#define PTE_AVAIL UL(0xe00)
/* What a user env may ask for in system calls. */
#define PTE_SYSCALL (PTE_AVAIL | PTE_P | PTE_W | PTE_U | PTE_NX)

#define PTE_ADDR(pte)  ((physaddr_t)(pte)&UL(0x000ffffffffff000))
#define PTE_FLAGS(pte) ((uint64_t)(pte) & ~UL(0x000ffffffffff000))

#define NPTENTRIES 512
#define PGSIZE_2M  UL(0x200000)
#define PGSIZE_1G  UL(0x40000000)
/* Index into the table of a level: 3 = PML4, 2 = PDPT, 1 = PD, 0 = PT. */
#define PTX(va, level) (((uint64_t)(va) >> (PGSHIFT + 9 * (level))) & 0x1ff)
#define PGNUM(pa)      ((uint64_t)(pa) >> PGSHIFT)
#define PGOFF(va)      ((uint64_t)(va)&0xfff)

/* Page-fault error code: SDM "Interrupt 14-Page-Fault Exception". */
#define FEC_PR   0x1  /* a present page forbade it (else: not present) */
#define FEC_WR   0x2  /* a write */
#define FEC_U    0x4  /* from user mode */
#define FEC_RSVD 0x8  /* a reserved bit was set in a paging structure */
#define FEC_ID   0x10 /* an instruction fetch */

/* Segment selectors (kern/desc.c builds the GDT in this order; SYSRET fixes UD before UT). */
#define GD_KT   0x08 /* kernel code */
#define GD_KD   0x10 /* kernel data */
#define GD_UD   0x18 /* user data */
#define GD_UT   0x20 /* user code */
#define GD_TSS0 0x28 /* 16 bytes */

/* MSRs every part of the kernel uses: SDM vol. 4; VT-x ones are in vmm/vmx/vmx.h. */
#define MSR_TSC            0x10
#define MSR_TSC_ADJUST     0x3b
#define MSR_APIC_BASE      0x1b
#define MSR_FEATURE_CTL    0x3a
#define MSR_TSC_DEADLINE   0x6e0
#define MSR_X2APIC         0x800
#define MSR_EFER           0xc0000080
#define MSR_STAR           0xc0000081
#define MSR_LSTAR          0xc0000082
#define MSR_CSTAR          0xc0000083
#define MSR_SFMASK         0xc0000084
#define MSR_FS_BASE        0xc0000100
#define MSR_GS_BASE        0xc0000101
#define MSR_KERNEL_GS_BASE 0xc0000102

#define EFER_SCE (1 << 0)
#define EFER_LME (1 << 8)
#define EFER_LMA (1 << 10)
#define EFER_NXE (1 << 11)

#ifndef __ASSEMBLER__
/* Are bits 63 to 47 all the same, as the CPU wants it of an address with 48 bits (SDM "Canonical
 * Addressing")? */
static inline bool is_canonical(uint64_t va)
{
    return (va + (1ul << 47)) >> 48 == 0;
}

/* The 64-bit task-state segment: SDM "Task Management in 64-bit Mode". */
struct Taskstate {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7];
    uint64_t reserved2;
    uint16_t reserved3;
    uint16_t iomap_base;
} __attribute__((packed));
_Static_assert(sizeof(struct Taskstate) == 104, "TSS layout");

/* A 64-bit interrupt gate: SDM "64-Bit Mode IDT". */
struct Gatedesc {
    uint16_t off_0;
    uint16_t sel;
    uint8_t ist;
    uint8_t type_dpl_p; /* 0x8e: present, DPL 0, interrupt gate */
    uint16_t off_16;
    uint32_t off_32;
    uint32_t reserved;
};
_Static_assert(sizeof(struct Gatedesc) == 16, "IDT gate layout");

/* Operand of LGDT and LIDT. */
struct Pseudodesc {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));
#endif

#endif
