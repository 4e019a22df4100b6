/*
 * The words of SVM by name: MSRs, CPUID, bits of the VMCB (APM 2 "Secure Virtual Machine"). What
 * the CPU was found to offer is in svm_caps, written by svm_check.
 */
#ifndef JOS_VMM_SVM_SVM_H
#define JOS_VMM_SVM_SVM_H

#include <inc/types.h>

struct SvmVcpu;

/* CPUID: APM 3 "Obtaining Processor Information Via the CPUID Instruction" */
#define CPUID_EXT_MAX      0x80000000u
#define CPUID_EXT_FEATURES 0x80000001u
#define CPUID_SVM          0x8000000au /* ebx: number of ASIDs; edx: features */
#define EXT_ECX_SVM        (1u << 2)
#define EXT_EDX_RDTSCP     (1u << 27)
#define SVM_EDX_NP         (1u << 0)
#define SVM_EDX_NRIPS      (1u << 3)
#define SVM_EDX_FLUSH_ASID (1u << 6)

/* MSRs */
#define MSR_VM_CR       0xc0010114
#define MSR_VM_HSAVE_PA 0xc0010117
#define VM_CR_SVMDIS    (1u << 4) /* EFER.SVME cannot be set */
#define EFER_SVME       (1ul << 12)

/* Bits of the words of intercepts: APM 2 "VMCB Layout, Control Area" */
#define CR_READ(n)  (1u << (n))
#define CR_WRITE(n) (1u << (16 + (n)))
#define DR_WRITE(n) (1u << (16 + (n)))
#define DR_ALL      0xffffffffu

#define MISC1_INTR        (1u << 0)
#define MISC1_NMI         (1u << 1)
#define MISC1_SMI         (1u << 2)
#define MISC1_INIT        (1u << 3)
#define MISC1_VINTR       (1u << 4)
#define MISC1_CR0_SELECT  (1u << 5) /* writes of CR0 that change more than TS and MP */
#define MISC1_IDTR_READ   (1u << 6)
#define MISC1_GDTR_READ   (1u << 7)
#define MISC1_LDTR_READ   (1u << 8)
#define MISC1_TR_READ     (1u << 9)
#define MISC1_IDTR_WRITE  (1u << 10)
#define MISC1_GDTR_WRITE  (1u << 11)
#define MISC1_LDTR_WRITE  (1u << 12)
#define MISC1_TR_WRITE    (1u << 13)
#define MISC1_RDTSC       (1u << 14)
#define MISC1_RDPMC       (1u << 15)
#define MISC1_PUSHF       (1u << 16)
#define MISC1_POPF        (1u << 17)
#define MISC1_CPUID       (1u << 18)
#define MISC1_RSM         (1u << 19)
#define MISC1_IRET        (1u << 20)
#define MISC1_INTN        (1u << 21)
#define MISC1_INVD        (1u << 22)
#define MISC1_PAUSE       (1u << 23)
#define MISC1_HLT         (1u << 24)
#define MISC1_INVLPG      (1u << 25)
#define MISC1_INVLPGA     (1u << 26)
#define MISC1_IOIO        (1u << 27)
#define MISC1_MSR         (1u << 28)
#define MISC1_TASK_SWITCH (1u << 29)
#define MISC1_FERR_FREEZE (1u << 30)
#define MISC1_SHUTDOWN    (1u << 31)

#define MISC2_VMRUN       (1u << 0)
#define MISC2_VMMCALL     (1u << 1)
#define MISC2_VMLOAD      (1u << 2)
#define MISC2_VMSAVE      (1u << 3)
#define MISC2_STGI        (1u << 4)
#define MISC2_CLGI        (1u << 5)
#define MISC2_SKINIT      (1u << 6)
#define MISC2_RDTSCP      (1u << 7)
#define MISC2_ICEBP       (1u << 8)
#define MISC2_WBINVD      (1u << 9)
#define MISC2_MONITOR     (1u << 10)
#define MISC2_MWAIT       (1u << 11)
#define MISC2_MWAIT_ARMED (1u << 12)
#define MISC2_XSETBV      (1u << 13)
#define MISC2_RDPRU       (1u << 14)

#define MISC3_INVLPGB (1u << 0)
#define MISC3_INVPCID (1u << 2)
#define MISC3_MCOMMIT (1u << 3)
#define MISC3_TLBSYNC (1u << 4)

/* Vmcb.tlb_control: APM 2 "TLB Flush" */
#define TLB_FLUSH_ALL  1
#define TLB_FLUSH_ASID 3

/* Vmcb.virtual_intr */
#define VINTR_IRQ        (1ul << 8)
#define VINTR_IGNORE_TPR (1ul << 20)
#define VINTR_MASKING    (1ul << 24) /* RFLAGS.IF of the host, not the guest's, masks interrupts */
#define VINTR_WINDOW     (VINTR_IRQ | VINTR_IGNORE_TPR)

#define SHADOW_ON         1ul /* Vmcb.interrupt_shadow */
#define NESTED_ON         1ul /* Vmcb.nested_paging */
#define EVENT_ERROR_SHIFT 32  /* of the error code in an event of the VMCB */
/* What an event of an exit has that can be injected again. */
#define EVENT_AGAIN (EVENT_VALID | EVENT_ERROR_VALID | EVENT_TYPE | EVENT_VECTOR)

/* Attributes of a segment: bits 40-47 and 52-55 of its descriptor. */
#define VMCB_SEG_PRESENT (1u << 7)
#define VMCB_SEG_L       (1u << 9)
#define VMCB_SEG_DB      (1u << 10)
#define VMCB_CODE32      0xc9b /* present, code, execute-read, accessed, 32-bit, 4 KiB granular */
#define VMCB_DATA32      0xc93 /* present, data, read-write, accessed, 32-bit, 4 KiB granular */
#define VMCB_CODE64      0xa9b /* the same in 64-bit mode */
#define VMCB_LDT         0x82
#define VMCB_TSS_BUSY    0x8b
#define VMCB_TSS_TYPE(a) ((a)&0xfu)
#define VMCB_TSS_32      0xb /* type of a busy TSS that is not a 16-bit one */

/* Exit information: APM 2 "IOIO Intercepts", "MSR Intercepts", "Nested versus Guest Page Faults" */
#define IOIO_IN         (1u << 0)
#define IOIO_STRING     (1u << 2)
#define IOIO_REP        (1u << 3)
#define IOIO_SIZE(info) ((info) >> 4 & 7)
#define IOIO_PORT(info) ((uint16_t)((info) >> 16))
#define MSR_INFO_WRITE  1
/* EXITINFO1 of a nested page fault, beside the bits of a page fault's error code (APM 2 "Nested
 * versus Guest Page Faults"). */
#define NPF_GUEST_TABLES (1ul << 33) /* by the walk of the guest's page tables */

/* The permission maps: APM 2 "I/O Permissions Map", "MSR Permissions Map" */
#define IOPM_PAGES  3
#define MSRPM_PAGES 2

/* Entries of nested page tables: those of 4-level paging, each as a user's page (APM 2 "Nested
 * Table Walk"). */
#define NPTE_RIGHTS (PTE_P | PTE_U)

/* What this machine's SVM offers. Constant after svm_check succeeded. */
struct SvmCaps {
    uint32_t asids; /* how many there are; 0 is the host's */
    bool nrips, flush_asid, rdtscp;
    bool repeats_interrupts; /* QEMU's TCG with several CPUs: see svm_exit_at_once */
};
extern struct SvmCaps svm_caps;

/* For struct Backend. */
int svm_check(char *why, size_t size);
int svm_turn_on(void);
/* Before an entry that is certain: drop the vCPU's translations, or give it an ASID here. */
void svm_flush(struct SvmVcpu *s);

#endif
