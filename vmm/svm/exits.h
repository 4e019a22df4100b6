/*
 * AMD's exit codes (APM 2 "SVM Intercept Exit Codes"): first and last code, the manual's name
 * without VMEXIT_, the neutral reason of inc/vmexits.h, and words for messages. Handlers,
 * statistics, traces and messages come from this list.
 */
#ifndef JOS_VMM_SVM_EXITS_H
#define JOS_VMM_SVM_EXITS_H

#include <inc/vmexits.h>

#define SVM_EXIT_LIST(X)                                                               \
    X(0x00, 0x0f, CR_READ, CR_ACCESS, "MOV from a control register, or SMSW")          \
    X(0x10, 0x1f, CR_WRITE, CR_ACCESS, "MOV to a control register, CLTS or LMSW")      \
    X(0x20, 0x2f, DR_READ, DR_ACCESS, "MOV from a debug register")                     \
    X(0x30, 0x3f, DR_WRITE, DR_ACCESS, "MOV to a debug register")                      \
    X(0x40, 0x5f, EXCP, EXCEPTION, "exception")                                        \
    X(0x60, 0x60, INTR, INTERRUPT, "external interrupt")                               \
    X(0x61, 0x61, NMI, EXCEPTION, "non-maskable interrupt")                            \
    X(0x62, 0x62, SMI, SIGNAL, "SMI")                                                  \
    X(0x63, 0x63, INIT, SIGNAL, "INIT")                                                \
    X(0x64, 0x64, VINTR, INTR_WINDOW, "virtual interrupt")                             \
    X(0x65, 0x65, CR0_SEL_WRITE, CR_ACCESS, "write of CR0 beyond TS and MP")           \
    X(0x66, 0x69, TABLE_READ, DESCRIPTORS, "SIDT, SGDT, SLDT or STR instruction")      \
    X(0x6a, 0x6d, TABLE_WRITE, DESCRIPTORS, "LIDT, LGDT, LLDT or LTR instruction")     \
    X(0x6e, 0x6e, RDTSC, RDTSC, "RDTSC instruction")                                   \
    X(0x6f, 0x6f, RDPMC, RDPMC, "RDPMC instruction")                                   \
    X(0x70, 0x70, PUSHF, FLAGS, "PUSHF instruction")                                   \
    X(0x71, 0x71, POPF, FLAGS, "POPF instruction")                                     \
    X(0x72, 0x72, CPUID, CPUID, "CPUID instruction")                                   \
    X(0x73, 0x73, RSM, RSM, "RSM instruction")                                         \
    X(0x74, 0x74, IRET, SOFT_INT, "IRET instruction")                                  \
    X(0x75, 0x75, SWINT, SOFT_INT, "software interrupt")                               \
    X(0x76, 0x76, INVD, CACHE_FLUSH, "INVD instruction")                               \
    X(0x77, 0x77, PAUSE, PAUSE, "PAUSE instruction")                                   \
    X(0x78, 0x78, HLT, HLT, "HLT instruction")                                         \
    X(0x79, 0x79, INVLPG, INVLPG, "INVLPG instruction")                                \
    X(0x7a, 0x7a, INVLPGA, VM_INSN, "INVLPGA instruction")                             \
    X(0x7b, 0x7b, IOIO, IO, "I/O instruction")                                         \
    X(0x7c, 0x7c, MSR, RDMSR, "RDMSR or WRMSR instruction")                            \
    X(0x7d, 0x7d, TASK_SWITCH, TASK_SWITCH, "task switch")                             \
    X(0x7e, 0x7e, FERR_FREEZE, OTHER, "frozen FPU error")                              \
    X(0x7f, 0x7f, SHUTDOWN, SHUTDOWN, "shutdown")                                      \
    X(0x80, 0x80, VMRUN, VM_INSN, "VMRUN instruction")                                 \
    X(0x81, 0x81, VMMCALL, VMCALL, "VMMCALL instruction")                              \
    X(0x82, 0x82, VMLOAD, VM_INSN, "VMLOAD instruction")                               \
    X(0x83, 0x83, VMSAVE, VM_INSN, "VMSAVE instruction")                               \
    X(0x84, 0x84, STGI, VM_INSN, "STGI instruction")                                   \
    X(0x85, 0x85, CLGI, VM_INSN, "CLGI instruction")                                   \
    X(0x86, 0x86, SKINIT, VM_INSN, "SKINIT instruction")                               \
    X(0x87, 0x87, RDTSCP, RDTSC, "RDTSCP instruction")                                 \
    X(0x88, 0x88, ICEBP, SOFT_INT, "INT1 instruction")                                 \
    X(0x89, 0x89, WBINVD, CACHE_FLUSH, "WBINVD instruction")                           \
    X(0x8a, 0x8a, MONITOR, MWAIT, "MONITOR instruction")                               \
    X(0x8b, 0x8b, MWAIT, MWAIT, "MWAIT instruction")                                   \
    X(0x8c, 0x8c, MWAIT_CONDITIONAL, MWAIT, "MWAIT instruction with an armed monitor") \
    X(0x8d, 0x8d, XSETBV, XSETBV, "XSETBV instruction")                                \
    X(0x8e, 0x8e, RDPRU, OTHER, "RDPRU instruction")                                   \
    X(0x8f, 0x8f, EFER_WRITE_TRAP, OTHER, "write of EFER")                             \
    X(0x90, 0x9f, CR_WRITE_TRAP, CR_ACCESS, "after a write of a control register")     \
    X(0xa0, 0xa0, INVLPGB, INVLPG, "INVLPGB instruction")                              \
    X(0xa1, 0xa1, INVLPGB_ILLEGAL, INVLPG, "illegal INVLPGB instruction")              \
    X(0xa2, 0xa2, INVPCID, INVLPG, "INVPCID instruction")                              \
    X(0xa3, 0xa3, MCOMMIT, OTHER, "MCOMMIT instruction")                               \
    X(0xa4, 0xa4, TLBSYNC, INVLPG, "TLBSYNC instruction")

#define SVM_NEXITS       0xa5        /* codes in the list */
#define SVM_EXIT_RUNNING 0x3ff       /* no CPU's: ours, while the guest has the CPU */
#define SVM_EXIT_NPF     0x400       /* nested page fault */
#define SVM_EXIT_INVALID 0xffffffffu /* VMRUN refused; QEMU has only the lower half of -1 */

enum SvmExit {
#define SVM_EXIT_ENUM(first, last, name, reason, words) SVM_EXIT_##name = (first),
    SVM_EXIT_LIST(SVM_EXIT_ENUM)
#undef SVM_EXIT_ENUM
};

#endif
