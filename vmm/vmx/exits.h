/*
 * The basic VM-exit reasons (SDM "VMX Basic Exit Reasons"): number, Intel's name, the reason by
 * which the rest of the world knows it (inc/vmexits.h), and what happened in words; and the exit
 * qualifications by name.
 */
#ifndef JOS_VMM_VMX_EXITS_H
#define JOS_VMM_VMX_EXITS_H

#include <inc/vmexits.h>

/* clang-format off */
#define VMX_EXIT_LIST(X)                                                       \
    X(0, EXCEPTION, EXCEPTION, "exception or NMI")                             \
    X(1, EXTINT, INTERRUPT, "external interrupt")                              \
    X(2, TRIPLE_FAULT, SHUTDOWN, "triple fault")                               \
    X(3, INIT, SIGNAL, "INIT signal")                                          \
    X(4, SIPI, SIGNAL, "start-up IPI")                                         \
    X(5, IO_SMI, SIGNAL, "I/O system-management interrupt")                    \
    X(6, SMI, SIGNAL, "system-management interrupt")                           \
    X(7, INTR_WINDOW, INTR_WINDOW, "interrupt window")                         \
    X(8, NMI_WINDOW, NMI_WINDOW, "NMI window")                                 \
    X(9, TASK_SWITCH, TASK_SWITCH, "task switch")                              \
    X(10, CPUID, CPUID, "CPUID instruction")                                   \
    X(11, GETSEC, OTHER, "GETSEC instruction")                                 \
    X(12, HLT, HLT, "HLT instruction")                                         \
    X(13, INVD, CACHE_FLUSH, "INVD instruction")                               \
    X(14, INVLPG, INVLPG, "INVLPG instruction")                                \
    X(15, RDPMC, RDPMC, "RDPMC instruction")                                   \
    X(16, RDTSC, RDTSC, "RDTSC instruction")                                   \
    X(17, RSM, RSM, "RSM instruction")                                         \
    X(18, VMCALL, VMCALL, "VMCALL instruction (hypercall)")                    \
    X(19, VMCLEAR, VM_INSN, "VMCLEAR instruction")                             \
    X(20, VMLAUNCH, VM_INSN, "VMLAUNCH instruction")                           \
    X(21, VMPTRLD, VM_INSN, "VMPTRLD instruction")                             \
    X(22, VMPTRST, VM_INSN, "VMPTRST instruction")                             \
    X(23, VMREAD, VM_INSN, "VMREAD instruction")                               \
    X(24, VMRESUME, VM_INSN, "VMRESUME instruction")                           \
    X(25, VMWRITE, VM_INSN, "VMWRITE instruction")                             \
    X(26, VMXOFF, VM_INSN, "VMXOFF instruction")                               \
    X(27, VMXON, VM_INSN, "VMXON instruction")                                 \
    X(28, CR_ACCESS, CR_ACCESS, "control-register access")                     \
    X(29, MOV_DR, DR_ACCESS, "debug-register access")                          \
    X(30, IO, IO, "I/O instruction")                                           \
    X(31, RDMSR, RDMSR, "RDMSR instruction")                                   \
    X(32, WRMSR, WRMSR, "WRMSR instruction")                                   \
    X(33, ENTRY_STATE, ENTRY_REFUSED, "VM entry refused: invalid guest state") \
    X(34, ENTRY_MSR, ENTRY_REFUSED, "VM entry refused: MSR loading")           \
    X(36, MWAIT, MWAIT, "MWAIT instruction")                                   \
    X(37, MTF, STEP, "monitor trap flag")                                      \
    X(39, MONITOR, MWAIT, "MONITOR instruction")                               \
    X(40, PAUSE, PAUSE, "PAUSE instruction")                                   \
    X(41, ENTRY_MCE, ENTRY_REFUSED, "VM entry refused: machine check")         \
    X(43, TPR_BELOW, OTHER, "TPR below threshold")                             \
    X(44, APIC_ACCESS, OTHER, "APIC access")                                   \
    X(45, EOI_INDUCED, OTHER, "virtualized EOI")                               \
    X(46, GDTR_IDTR, DESCRIPTORS, "access to GDTR or IDTR")                    \
    X(47, LDTR_TR, DESCRIPTORS, "access to LDTR or TR")                        \
    X(48, EPT_VIOLATION, MEMORY, "EPT violation")                              \
    X(49, EPT_MISCONFIG, MISCONFIG, "EPT misconfiguration")                    \
    X(50, INVEPT, VM_INSN, "INVEPT instruction")                               \
    X(51, RDTSCP, RDTSC, "RDTSCP instruction")                                 \
    X(52, PREEMPT_TIMER, TIMER, "VMX-preemption timer")                        \
    X(53, INVVPID, VM_INSN, "INVVPID instruction")                             \
    X(54, WBINVD, CACHE_FLUSH, "WBINVD instruction")                           \
    X(55, XSETBV, XSETBV, "XSETBV instruction")                                \
    X(56, APIC_WRITE, OTHER, "APIC write")                                     \
    X(57, RDRAND, RANDOM, "RDRAND instruction")                                \
    X(58, INVPCID, INVLPG, "INVPCID instruction")                              \
    X(59, VMFUNC, VM_INSN, "VMFUNC instruction")                               \
    X(60, ENCLS, OTHER, "ENCLS instruction")                                   \
    X(61, RDSEED, RANDOM, "RDSEED instruction")                                \
    X(62, PML_FULL, OTHER, "page-modification log full")                       \
    X(63, XSAVES, OTHER, "XSAVES instruction")                                 \
    X(64, XRSTORS, OTHER, "XRSTORS instruction")                               \
    X(66, SPP, OTHER, "sub-page permission miss or misconfiguration")          \
    X(67, UMWAIT, OTHER, "UMWAIT instruction")                                 \
    X(68, TPAUSE, OTHER, "TPAUSE instruction")                                 \
    X(69, LOADIWKEY, OTHER, "LOADIWKEY instruction")
/* clang-format on */

enum VmxExitReason {
#define VMX_EXIT_ENUM(nr, name, reason, words) EXIT_REASON_##name = nr,
    VMX_EXIT_LIST(VMX_EXIT_ENUM)
#undef VMX_EXIT_ENUM
    VMX_NREASONS
};

/* Exit qualification of control-register accesses */
#define QUAL_CR(q)      ((q)&0xf)
#define QUAL_CR_TYPE(q) (((q) >> 4) & 3)
#define QUAL_CR_GPR(q)  (((q) >> 8) & 0xf)
enum {
    CR_MOV_TO,
    CR_MOV_FROM,
    CR_CLTS,
    CR_LMSW
};

/* Exit qualification of I/O instructions */
#define QUAL_IO_SIZE(q) (((q)&7) + 1)
#define QUAL_IO_IN      (1u << 3)
#define QUAL_IO_STRING  (1u << 4)
#define QUAL_IO_REP     (1u << 5)
#define QUAL_IO_PORT(q) (((q) >> 16) & 0xffff)

/* Exit qualification of EPT violations */
#define QUAL_EPT_READ          (1u << 0)
#define QUAL_EPT_WRITE         (1u << 1)
#define QUAL_EPT_FETCH         (1u << 2)
#define QUAL_EPT_ACCESS        7u
#define QUAL_EPT_LINEAR        (1u << 7)  /* in the translation of a linear address, or after it: */
#define QUAL_EPT_FINAL         (1u << 8)  /* to what it translates to, not to a paging structure */
#define QUAL_EPT_NMI_UNBLOCKED (1u << 12) /* by an IRET */
#define QUAL_EPT_MAPPED(q) \
    (((q) >> 3) & 7) /* rights of the entry, in the order of the bits above */

/* Exit qualification of MOV DR */
#define QUAL_DR(q)     ((q)&7)
#define QUAL_DR_FROM   (1u << 4)
#define QUAL_DR_GPR(q) (((q) >> 8) & 0xf)

#endif
