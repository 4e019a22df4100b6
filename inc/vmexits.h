/*
 * The basic VM-exit reasons (SDM "VMX Basic Exit Reasons"): number, name and what happened in
 * words. The VMM's handler table, its messages and the monitor's statistics all come from this one
 * list.
 */
#ifndef JOS_INC_VMEXITS_H
#define JOS_INC_VMEXITS_H

#define VMX_EXIT_LIST(X)                                        \
    X(0, EXCEPTION, "exception or NMI")                         \
    X(1, EXTINT, "external interrupt")                          \
    X(2, TRIPLE_FAULT, "triple fault")                          \
    X(3, INIT, "INIT signal")                                   \
    X(4, SIPI, "start-up IPI")                                  \
    X(5, IO_SMI, "I/O system-management interrupt")             \
    X(6, SMI, "system-management interrupt")                    \
    X(7, INTR_WINDOW, "interrupt window")                       \
    X(8, NMI_WINDOW, "NMI window")                              \
    X(9, TASK_SWITCH, "task switch")                            \
    X(10, CPUID, "CPUID instruction")                           \
    X(11, GETSEC, "GETSEC instruction")                         \
    X(12, HLT, "HLT instruction")                               \
    X(13, INVD, "INVD instruction")                             \
    X(14, INVLPG, "INVLPG instruction")                         \
    X(15, RDPMC, "RDPMC instruction")                           \
    X(16, RDTSC, "RDTSC instruction")                           \
    X(17, RSM, "RSM instruction")                               \
    X(18, VMCALL, "VMCALL instruction (hypercall)")             \
    X(19, VMCLEAR, "VMCLEAR instruction")                       \
    X(20, VMLAUNCH, "VMLAUNCH instruction")                     \
    X(21, VMPTRLD, "VMPTRLD instruction")                       \
    X(22, VMPTRST, "VMPTRST instruction")                       \
    X(23, VMREAD, "VMREAD instruction")                         \
    X(24, VMRESUME, "VMRESUME instruction")                     \
    X(25, VMWRITE, "VMWRITE instruction")                       \
    X(26, VMXOFF, "VMXOFF instruction")                         \
    X(27, VMXON, "VMXON instruction")                           \
    X(28, CR_ACCESS, "control-register access")                 \
    X(29, MOV_DR, "debug-register access")                      \
    X(30, IO, "I/O instruction")                                \
    X(31, RDMSR, "RDMSR instruction")                           \
    X(32, WRMSR, "WRMSR instruction")                           \
    X(33, ENTRY_STATE, "VM entry refused: invalid guest state") \
    X(34, ENTRY_MSR, "VM entry refused: MSR loading")           \
    X(36, MWAIT, "MWAIT instruction")                           \
    X(37, MTF, "monitor trap flag")                             \
    X(39, MONITOR, "MONITOR instruction")                       \
    X(40, PAUSE, "PAUSE instruction")                           \
    X(41, ENTRY_MCE, "VM entry refused: machine check")         \
    X(43, TPR_BELOW, "TPR below threshold")                     \
    X(44, APIC_ACCESS, "APIC access")                           \
    X(45, EOI_INDUCED, "virtualized EOI")                       \
    X(46, GDTR_IDTR, "access to GDTR or IDTR")                  \
    X(47, LDTR_TR, "access to LDTR or TR")                      \
    X(48, EPT_VIOLATION, "EPT violation")                       \
    X(49, EPT_MISCONFIG, "EPT misconfiguration")                \
    X(50, INVEPT, "INVEPT instruction")                         \
    X(51, RDTSCP, "RDTSCP instruction")                         \
    X(52, PREEMPT_TIMER, "VMX-preemption timer")                \
    X(53, INVVPID, "INVVPID instruction")                       \
    X(54, WBINVD, "WBINVD instruction")                         \
    X(55, XSETBV, "XSETBV instruction")                         \
    X(56, APIC_WRITE, "APIC write")                             \
    X(57, RDRAND, "RDRAND instruction")                         \
    X(58, INVPCID, "INVPCID instruction")                       \
    X(59, VMFUNC, "VMFUNC instruction")                         \
    X(60, ENCLS, "ENCLS instruction")                           \
    X(61, RDSEED, "RDSEED instruction")                         \
    X(62, PML_FULL, "page-modification log full")               \
    X(63, XSAVES, "XSAVES instruction")                         \
    X(64, XRSTORS, "XRSTORS instruction")                       \
    X(66, SPP, "sub-page permission miss or misconfiguration")  \
    X(67, UMWAIT, "UMWAIT instruction")                         \
    X(68, TPAUSE, "TPAUSE instruction")                         \
    X(69, LOADIWKEY, "LOADIWKEY instruction")

enum VmxExitReason {
#define VMX_EXIT_ENUM(nr, name, words) EXIT_REASON_##name = nr,
    VMX_EXIT_LIST(VMX_EXIT_ENUM)
#undef VMX_EXIT_ENUM
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
#define QUAL_EPT_NMI_UNBLOCKED (1u << 12) /* by an IRET */
#define QUAL_EPT_MAPPED(q) \
    (((q) >> 3) & 7) /* rights of the entry, in the order of the bits above */

/* Fields of the VM-exit interruption information */
#define INFO_VECTOR(i) ((i)&0xff)
#define INFO_TYPE(i)   (((i) >> 8) & 7)
#define INFO_TYPE_NMI  2

#endif
