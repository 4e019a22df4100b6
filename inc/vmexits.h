/*
 * Why a guest leaves its CPU: one list for Intel and AMD, with a name for programs and words for
 * people. Statistics, traces, the hypercall VMX_VMCALL_EXITS and the monitor speak of exits by
 * these numbers; each back end maps its own reasons to them (vmm/vmx/exits.h, vmm/svm/exits.h).
 */
#ifndef JOS_INC_VMEXITS_H
#define JOS_INC_VMEXITS_H

#define GUEST_EXIT_LIST(X)                                  \
    X(EXCEPTION, "exception or NMI")                        \
    X(INTERRUPT, "external interrupt")                      \
    X(SHUTDOWN, "triple fault")                             \
    X(SIGNAL, "INIT, start-up IPI or SMI")                  \
    X(INTR_WINDOW, "interrupt window")                      \
    X(NMI_WINDOW, "NMI window")                             \
    X(TASK_SWITCH, "task switch")                           \
    X(CPUID, "CPUID instruction")                           \
    X(HLT, "HLT instruction")                               \
    X(CACHE_FLUSH, "INVD or WBINVD instruction")            \
    X(INVLPG, "INVLPG or INVPCID instruction")              \
    X(RDPMC, "RDPMC instruction")                           \
    X(RDTSC, "RDTSC or RDTSCP instruction")                 \
    X(RSM, "RSM instruction")                               \
    X(VMCALL, "hypercall")                                  \
    X(VM_INSN, "instruction of VT-x or SVM")                \
    X(CR_ACCESS, "control-register access")                 \
    X(DR_ACCESS, "debug-register access")                   \
    X(IO, "I/O instruction")                                \
    X(RDMSR, "RDMSR instruction")                           \
    X(WRMSR, "WRMSR instruction")                           \
    X(ENTRY_REFUSED, "VM entry refused")                    \
    X(MWAIT, "MONITOR or MWAIT instruction")                \
    X(PAUSE, "PAUSE instruction")                           \
    X(XSETBV, "XSETBV instruction")                         \
    X(RANDOM, "RDRAND or RDSEED instruction")               \
    X(DESCRIPTORS, "access to a descriptor-table register") \
    X(SOFT_INT, "software interrupt or IRET")               \
    X(FLAGS, "PUSHF or POPF instruction")                   \
    X(STEP, "end of a single step")                         \
    X(TIMER, "end of the guest's time")                     \
    X(MEMORY, "second-stage page fault")                    \
    X(MISCONFIG, "second-stage entry that the CPU refuses") \
    X(OTHER, "another reason")

enum GuestExitReason {
#define GUEST_EXIT_ENUM(name, words) EXIT_##name,
    GUEST_EXIT_LIST(GUEST_EXIT_ENUM)
#undef GUEST_EXIT_ENUM
    GUEST_NREASONS /* in statistics: before the first exit */
};

#endif
