/*
 * The words of VT-x by name: capability MSRs, control bits, interruption information, access
 * rights, exit qualifications (SDM vol. 3, "Virtual Machine Control Structures" and "VM Exits").
 * What the CPU was found to offer is in vmx_caps, written once by vmx_check_support.
 */
#ifndef JOS_VMM_VMX_VMX_H
#define JOS_VMM_VMX_VMX_H

#include <inc/types.h>
#include <vmm/backend.h>
#include <vmm/event.h>
#include <vmm/vmx/exits.h>

/* SDM "VMX Capability Reporting Facility" */
#define MSR_VMX_BASIC          0x480
#define MSR_VMX_PIN_CTLS       0x481
#define MSR_VMX_PROC_CTLS      0x482
#define MSR_VMX_EXIT_CTLS      0x483
#define MSR_VMX_ENTRY_CTLS     0x484
#define MSR_VMX_MISC           0x485
#define MSR_VMX_CR0_FIXED0     0x486
#define MSR_VMX_CR0_FIXED1     0x487
#define MSR_VMX_CR4_FIXED0     0x488
#define MSR_VMX_CR4_FIXED1     0x489
#define MSR_VMX_PROC2_CTLS     0x48b
#define MSR_VMX_EPT_VPID_CAP   0x48c
#define MSR_VMX_TRUE_PIN_CTLS  0x48d
#define MSR_VMX_TRUE_PROC_CTLS 0x48e
#define MSR_VMX_TRUE_EXIT_CTLS 0x48f
#define MSR_VMX_TRUE_ENTRY_CTL 0x490
#define MSR_VMX_VMFUNC         0x491

#define VMX_BASIC_REVISION    0x7fffffffu
#define VMX_BASIC_STRING_INFO (1ul << 54) /* exits of INS and OUTS report the instruction */
#define VMX_BASIC_TRUE_CTLS   (1ul << 55)
#define VMX_BASIC_ANY_ERROR   (1ul << 56) /* any hardware exception may come with an error code */
#define VMX_MISC_TIMER_SHIFT  0x1f
#define VMX_MISC_HLT          (1ul << 6)
#define VMX_MISC_SHUTDOWN     (1ul << 7)
#define VMX_MISC_WAIT_SIPI    (1ul << 8)
#define VMX_MISC_CR3_TARGETS  (0x1fful << 16)
#define VMX_MISC_LENGTH_0     (1ul << 30) /* events may be injected with instruction length 0 */
#define FEATURE_CTL_LOCK      (1 << 0)
#define FEATURE_CTL_VMX       (1 << 2) /* VMXON outside of SMX operation */

#define EPT_CAP_WALK4          (1ul << 6)
#define EPT_CAP_WALK5          (1ul << 7)
#define EPT_CAP_UC             (1ul << 8)
#define EPT_CAP_WB             (1ul << 14)
#define EPT_CAP_2M             (1ul << 16)
#define EPT_CAP_INVEPT         (1ul << 20)
#define EPT_CAP_AD             (1ul << 21)
#define EPT_CAP_SHADOW_STACK   (1ul << 23)
#define EPT_CAP_INVEPT_SINGLE  (1ul << 25)
#define EPT_CAP_INVEPT_ALL     (1ul << 26)
#define EPT_CAP_INVVPID        (1ul << 32)
#define EPT_CAP_INVVPID_SINGLE (1ul << 41)
#define EPT_CAP_INVVPID_ALL    (1ul << 42)
#define EPT_CAP_VPID           (EPT_CAP_INVVPID | EPT_CAP_INVVPID_SINGLE | EPT_CAP_INVVPID_ALL)

/* Other MSRs the VMM knows by name */
#define MSR_BIOS_UPDT_TRIG  0x79
#define MSR_SMM_MONITOR_CTL 0x9b

/* SDM "Pin-Based VM-Execution Controls" */
#define PIN_EXTINT      (1u << 0)
#define PIN_NMI         (1u << 3)
#define PIN_VIRTUAL_NMI (1u << 5)
#define PIN_TIMER       (1u << 6)
#define PIN_POSTED      (1u << 7)
/* SDM "Processor-Based VM-Execution Controls" */
#define PROC_INTR_WINDOW   (1u << 2)
#define PROC_TSC_OFFSET    (1u << 3)
#define PROC_HLT           (1u << 7)
#define PROC_MWAIT         (1u << 10)
#define PROC_RDPMC         (1u << 11)
#define PROC_CR3_LOAD      (1u << 15)
#define PROC_CR3_STORE     (1u << 16)
#define PROC_CR8_LOAD      (1u << 19)
#define PROC_CR8_STORE     (1u << 20)
#define PROC_TPR_SHADOW    (1u << 21)
#define PROC_NMI_WINDOW    (1u << 22)
#define PROC_MOV_DR        (1u << 23)
#define PROC_IO            (1u << 24)
#define PROC_IO_BITMAPS    (1u << 25)
#define PROC_MTF           (1u << 27)
#define PROC_MSR_BITMAP    (1u << 28)
#define PROC_MONITOR       (1u << 29)
#define PROC_SECONDARY     (1u << 31)
#define PROC2_APIC_ACCESS  (1u << 0)
#define PROC2_EPT          (1u << 1)
#define PROC2_RDTSCP       (1u << 3)
#define PROC2_X2APIC       (1u << 4)
#define PROC2_VPID         (1u << 5)
#define PROC2_WBINVD       (1u << 6)
#define PROC2_UNRESTRICTED (1u << 7)
#define PROC2_APIC_REGS    (1u << 8)
#define PROC2_RDRAND       (1u << 11)
#define PROC2_INVPCID      (1u << 12)
#define PROC2_VIRTUAL_INTR (1u << 9)
#define PROC2_VMFUNC       (1u << 13)
#define PROC2_SHADOW_VMCS  (1u << 14)
#define PROC2_ENCLS        (1u << 15)
#define PROC2_RDSEED       (1u << 16)
#define PROC2_PML          (1u << 17)
#define PROC2_VE           (1u << 18)
#define PROC2_MODE_EXEC    (1u << 22)
#define PROC2_SUB_PAGE     (1u << 23)
#define PROC2_PT_GPA       (1u << 24)
#define VMFUNC_EPTP_SWITCH (1ul << 0)
/* SDM "VM-Exit Controls", "VM-Entry Controls" */
#define EXITC_SAVE_DEBUG  (1u << 2)
#define EXITC_HOST_64     (1u << 9)
#define EXITC_LOAD_PERF   (1u << 12)
#define EXITC_ACK_INTR    (1u << 15)
#define EXITC_SAVE_PAT    (1u << 18)
#define EXITC_LOAD_PAT    (1u << 19)
#define EXITC_SAVE_EFER   (1u << 20)
#define EXITC_LOAD_EFER   (1u << 21)
#define EXITC_SAVE_TIMER  (1u << 22)
#define ENTRYC_LOAD_DEBUG (1u << 2)
#define ENTRYC_IA32E      (1u << 9)
#define ENTRYC_SMM        (1u << 10)
#define ENTRYC_DUAL_MON   (1u << 11)
#define ENTRYC_LOAD_PERF  (1u << 13)
#define ENTRYC_LOAD_PAT   (1u << 14)
#define ENTRYC_LOAD_EFER  (1u << 15)
#define ENTRYC_LOAD_BND   (1u << 16)

/* Exit-reason field */
#define EXIT_REASON_BASIC 0xffffu
#define EXIT_ENTRY_FAILED (1u << 31)

/* Interruption information: VM-entry, VM-exit and IDT-vectoring fields agree on it (vmm/event.h).
 */
#define INTR_TYPE_OTHER    (7u << 8)
#define INTR_REINJECT_MASK (EVENT_VALID | EVENT_ERROR_VALID | EVENT_TYPE | EVENT_VECTOR)

/* Guest interruptibility state and pending debug exceptions */
#define BLOCK_STI           VBLOCK_STI
#define BLOCK_MOV_SS        VBLOCK_MOV_SS
#define BLOCK_INSTRUCTION   (BLOCK_STI | BLOCK_MOV_SS) /* ends with the next instruction */
#define BLOCK_SMI           (1u << 2)
#define BLOCK_NMI           VBLOCK_NMI
#define BLOCK_ENCLAVE       (1u << 4)
#define PENDING_DBG_ENABLED (1ul << 12)
#define PENDING_DBG_BS      (1ul << 14)

/* Guest activity state */
enum {
    ACTIVITY_ACTIVE,
    ACTIVITY_HLT,
    ACTIVITY_SHUTDOWN,
    ACTIVITY_WAIT_SIPI,
};

/* Segment access rights in the VMCS */
#define AR_CODE32      0xc09b /* present, code, execute-read, accessed, 32-bit, 4 KiB granular */
#define AR_DATA32      0xc093 /* present, data, read-write, accessed, 32-bit, 4 KiB granular */
#define AR_CODE64      0xa09b /* the same in 64-bit mode */
#define AR_TSS_BUSY    0x008b
#define AR_READ_WRITE  (1u << 1) /* of data: writable; of code: readable */
#define AR_EXPAND_DOWN (1u << 2) /* of data */
#define AR_CODE        (1u << 3)
#define AR_S           (1u << 4) /* code or data, not system */
#define AR_P           (1u << 7)
#define AR_L           (1u << 13)
#define AR_DB          (1u << 14)
#define AR_G           (1u << 15)
#define AR_UNUSABLE    (1u << 16)
#define AR_TYPE(ar)    ((ar)&0xf)
#define AR_TSS         0xb /* type of a busy TSS that is not a 16-bit one */
#define AR_DPL(ar)     (((ar) >> 5) & 3)

/* EPT entries and EPTP: SDM "The Extended Page Table Mechanism (EPT)" */
#define EPTE_R     UL(1)
#define EPTE_W     UL(2)
#define EPTE_X     UL(4)
#define EPTE_RWX   UL(7)
#define EPTE_MT_WB (UL(6) << 3)
#define EPTE_IPAT  (UL(1) << 6) /* the guest's PAT does not change the memory type */
#define EPTP_MT_WB UL(6)
#define EPTP_WALK4 (UL(3) << 3)

enum InveptType {
    INVEPT_SINGLE = 1,
    INVEPT_ALL = 2
};
enum InvvpidType {
    INVVPID_SINGLE = 1,
    INVVPID_ALL = 2
};

/* What this machine's VT-x offers and how we use it. Constant after vmx_check_support succeeded. */
struct VmxCaps {
    uint32_t revision;
    uint32_t pin, proc, proc2, exit, entry; /* control words of a new guest */
    uint32_t timer_shift;                   /* the preemption timer counts TSC >> timer_shift */
    bool string_info;                       /* VMX_BASIC_STRING_INFO */
    uint64_t ept_vpid;                      /* MSR_VMX_EPT_VPID_CAP */
    uint64_t cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1;
};
extern struct VmxCaps vmx_caps;

/* What entries of EPT look like, with pages of 2 MiB or without. */
struct Stage2Format vmx_stage2_format(bool has_large);
/* Can this CPU run guests, as it is set up? Returns 0, or -E_NOT_SUPP with the reason and what to
 * do instead in why (size bytes). */
int vmx_check_support(char *why, size_t size);
int vmx_check_ept(char *why, size_t size);
/* Turn VMX operation on for this CPU; nothing to do if it is on. 0 or -E_*, with words on the
 * console. */
int vmx_init_vmxon(void);

#endif
