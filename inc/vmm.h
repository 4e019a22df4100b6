/*
 * What the VMM, its guests and the monitor agree on: hypercalls, CPUID signature, the exits that
 * the monitor handles.
 */
#ifndef JOS_INC_VMM_H
#define JOS_INC_VMM_H

/*
 * Hypercalls: VMCALL with the number in RAX; the result comes back in RAX, 0 or -E_*. They are
 * taken from CPL 0 only (else -E_PERM).
 */
#define VMX_VMCALL_MBMAP 1 /* -> rbx: gpa of a multiboot info with the memory map */
#define VMX_VMCALL_IPCSEND \
    2 /* rbx: destination, rcx: value, rdx: gpa of a page or ~0, rsi: PTE_* */
#define VMX_VMCALL_IPCRECV    3 /* rbx: gpa at which to map what arrives, or ~0 -> rsi: value */
#define VMX_VMCALL_CONS_WRITE 4 /* rbx: gpa of text, rcx: length in bytes -> rax: bytes taken */
#define VMX_VMCALL_CONS_READ \
    5 /* rbx: gpa of a buffer, rcx: its size -> rax: bytes put there, maybe 0 */
#define VMX_VMCALL_POWEROFF 6 /* rbx: status 0 to 255; ends this guest */
#define VMX_VMCALL_NULL     7 /* nothing */
#define VMX_VMCALL_EXITS                                                                         \
    8 /* rbx: enum GuestExitReason, or ~0: all -> rcx: exits of this guest, this call's included \
       */

#define VMX_VMCALL_POWER_BUTTON \
    9 /* rbx: vector that the power button raises from now on, 32 to 255; 0: it does nothing */

/* Destination of VMX_VMCALL_IPCSEND: the host's file server. No other exists. */
#define VMX_HOST_FS_ENV 1

/* Longest text of VMX_VMCALL_CONS_WRITE, bytes. */
#define VMX_CONS_MAX 4096

/* CPUID leaves of the hypervisor. */
#define HV_CPUID_BASE   0x40000000 /* eax: highest leaf; ebx, ecx, edx: signature */
#define HV_CPUID_TIMING 0x40000010 /* eax: TSC kHz, ebx: local APIC timer kHz */
#define HV_CPUID_MAX    HV_CPUID_TIMING
#define HV_SIGNATURE    "JOSvmmJOSvmm"
/* Those of KVM, which offers nothing there: Linux takes x2APIC mode without interrupt remapping for
 * granted under hypervisors that it knows. */
#define KVM_CPUID_BASE     0x40000100
#define KVM_CPUID_FEATURES 0x40000101
#define KVM_SIGNATURE      "KVMKVMKVM\0\0\0"

/* Guest kernel and disk image in hOS's file system. */
#define GUEST_KERN "/vmm/kernel"
#define GUEST_DISK "/vmm/guest.img" /* shared by all guests that are not given another disk */

/* Limits and defaults of guest memory, bytes. */
#define GUEST_MEM_MIN     0x400000ul    /* 4 MiB */
#define GUEST_MEM_MAX     0x140000000ul /* 5 GiB */
#define GUEST_MEM_DEFAULT 0x4000000ul   /* 64 MiB */
/* Least limit of what a guest's disk takes of the host's, bytes. */
#define GUEST_DISK_MIN 0x100000ul /* 1 MiB */
/* gpas from here to 4 GiB are never RAM: devices and the local APIC live there. */
#define GUEST_HOLE_START 0xc0000000ul
#define GUEST_HOLE_END   0x100000000ul

/* sys_env_mkguest flags */
#define GUEST_INTERCEPT_PF 1 /* every guest page fault exits, is verified and injected */
#define GUEST_DEBUG        2 /* sys_guest_debug works, and the guest starts stopped for it */

#ifndef __ASSEMBLER__
#include "types.h"
#include "vmexits.h"

/* Why sys_guest_run returned. */
enum GuestEvent {
    GUEST_EV_NONE = 0,
    GUEST_EV_IO,      /* stopped at an I/O instruction that the kernel does not handle */
    GUEST_EV_MMIO,    /* stopped at an access to a gpa that is not RAM */
    GUEST_EV_VMCALL,  /* stopped at a hypercall that is the monitor's */
    GUEST_EV_CONSOLE, /* not stopped: the host's console has input for the monitor */
    GUEST_EV_MESSAGE, /* not stopped: an env waits to give the monitor a message */
    GUEST_EV_SERIAL,  /* not stopped: the serial port that the monitor has opened has input */
    GUEST_EV_DEBUG,   /* stopped for a debugger; code = enum GuestDebugStop */
    GUEST_EV_OUTPUT,  /* not stopped: bytes wait in GuestSerial.ring */
    GUEST_EV_OFF,     /* the guest powered itself off; code = status. Destroy it. */
    GUEST_EV_DEAD,    /* the VMM ended it; why = reason in words. Destroy it. */
};

struct GuestRegs {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
    uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
    uint64_t rip, rsp, rflags;
};

struct GuestIo {
    uint16_t port;
    uint8_t size; /* 1, 2 or 4 bytes */
    uint8_t in;   /* 1: IN, result goes to rax (low `size` bytes); 0: OUT */
};

/* Kinds of access to memory; sets of them are rights, too. */
#define GUEST_READ      1
#define GUEST_WRITE     2
#define GUEST_FETCH     4
#define GUEST_RWX       7
#define GUEST_USER      8 /* sys_guest_walk: by user code */
#define GUEST_NSEGMENTS 6

#define GUEST_INSN_MAX 15 /* bytes of the longest instruction */

/* What a CPU needs to know besides its registers to execute an instruction. */
struct GuestInsn {
    uint8_t bytes[GUEST_INSN_MAX]; /* at rip; fewer where a page is not mapped */
    uint8_t nbytes;
    uint8_t bits; /* of its code: 16, 32 or 64 */
    uint8_t cpl;
    uint8_t stack_bits; /* of the stack pointer: 16, 32 or 64 */
    uint8_t pad;
    uint16_t selector[GUEST_NSEGMENTS]; /* ES, CS, SS, DS, FS, GS */
    uint64_t segment_base[GUEST_NSEGMENTS];
};

/*
 * The page that kernel and monitor share (sys_guest_share). The kernel writes what belongs to a
 * stop; for GUEST_EV_IO that is io and the register rax. The monitor's answer is in skip and in
 * registers: rax for GUEST_EV_IO; rax, rbx, rcx, rdx and rsi for GUEST_EV_VMCALL; for GUEST_EV_MMIO
 * all of them but the flags of rflags that are not arithmetic ones or DF. (rip is where the
 * instruction that is skipped is taken to be.)
 */
struct GuestExit {
    struct GuestIo io; /* the instruction, decoded */
    uint8_t skip;      /* answer: bytes of the instruction, after which the guest goes on (for
                        * GUEST_EV_IO and GUEST_EV_VMCALL, 1 stands for its length); 0: again */
    uint8_t fault; /* answer to GUEST_EV_MMIO: this exception instead, #UD, #SS, #GP, #PF or #AC;
                    * 0: none */
    uint8_t pad[2];
    uint32_t fault_error;   /* its error code */
    uint32_t event;         /* enum GuestEvent */
    uint64_t fault_address; /* of a #PF */
    uint32_t reason;        /* enum GuestExitReason */
    uint32_t code;          /* GUEST_EV_OFF: status; GUEST_EV_DEBUG: enum GuestDebugStop */
    uint32_t access;        /* GUEST_EV_MMIO: GUEST_READ, GUEST_WRITE or GUEST_FETCH */
    uint32_t hits;          /* DEBUG_HW: bit n: debug register n */
    uint64_t gpa;           /* GUEST_EV_MMIO: the address */
    uint64_t apic_page;     /* GUEST_EV_MMIO: where the local APIC has its page, whose registers are
                             * sys_guest_apic's; ~0: nowhere */
    struct GuestRegs regs;
    struct GuestInsn insn; /* GUEST_EV_MMIO */
    char why[128];         /* GUEST_EV_DEAD: words */
    uint64_t unclaimed;    /* the monitor counts here what no device has claimed, for GuestStats, */
    uint64_t last_unclaimed; /* and the last one's port, or gpa, which no port is as large as */
    uint64_t replaced; /* the kernel counts here how often a frame of the guest's may have been
                        * replaced by another: what sys_guest_map has mapped may be stale */
};

#define GUEST_NO_SERIAL   0x10000 /* no port is that, nor the ones after it */
#define GUEST_SERIAL_RING 1024    /* bytes; a power of two */

/*
 * A UART of the monitor's whose transmitter the kernel serves (16550: inc/uart.h), in the same
 * page. The monitor writes all of it but head and ring.
 */
struct GuestSerial {
    /* Bytes that the guest writes to this port go into the ring, and the first read of the line
     * status after each says lsr. The rest stops the guest as ever, and so does a byte for which
     * there is no room. GUEST_NO_SERIAL: nothing is collected now. */
    uint32_t port;
    uint8_t lsr, pad[3];
    uint32_t head, tail; /* bytes put in and taken out so far; byte i is ring[i % its size] */
    uint8_t ring[GUEST_SERIAL_RING];
};

/* The page of sys_guest_share. */
struct GuestShared {
    struct GuestExit exit;
    struct GuestSerial serial;
};
_Static_assert(sizeof(struct GuestShared) <= 4096, "one page");

/* Why a guest is stopped for a debugger. */
enum GuestDebugStop {
    DEBUG_ASKED,   /* GUEST_DEBUG_STOP, or this is where it starts */
    DEBUG_STEPPED, /* GUEST_DEBUG_STEP has been done */
    DEBUG_INT3,    /* at an INT3 instruction, whoever has put it there */
    DEBUG_HW,      /* a debug register; which, GuestExit.hits says */
};

/* What sys_guest_debug does. The operations of the first group let the guest go on. */
enum GuestDebugOp {
    GUEST_DEBUG_CONTINUE,
    GUEST_DEBUG_STEP,   /* for one instruction, or into the handler of the exception it raises;
                         * interrupts wait */
    GUEST_DEBUG_PASS,   /* after DEBUG_INT3: with the breakpoint exception, which is its own */
    GUEST_DEBUG_DETACH, /* without debug registers and stops, until GUEST_DEBUG_STOP */

    GUEST_DEBUG_STOP,      /* stop it soon, wherever it is */
    GUEST_DEBUG_GET_REGS,  /* buf: struct GuestDebugRegs */
    GUEST_DEBUG_SET_REGS,  /* the same; its segments and cr0, cr4, cr8 and efer are ignored.
                            * -E_INVAL:  a base or rip is not a canonical address, or cr3 has
                            * reserved  bits */
    GUEST_DEBUG_TRANSLATE, /* arg: linear address. Returns its gpa; -E_NOT_FOUND: not mapped */
    GUEST_DEBUG_SET_HW,    /* arg: debug register 0 to 3, buf: struct GuestDebugHw. -E_INVAL. While
                            * any is set, the guest's own debug registers have no effect. */
};

struct GuestDebugRegs {
    struct GuestRegs gpr;
    uint64_t fs_base, gs_base, kernel_gs_base;
    uint64_t cr0, cr2, cr3, cr4, cr8, efer;
    uint16_t cs, ss, ds, es, fs, gs;
    uint32_t pad;
    uint8_t fpu[512] __attribute__((aligned(16))); /* as FXSAVE64 writes it */
};

/* SDM "Debug Control Register (DR7)": the encodings of the R/W fields. */
enum GuestDebugHwKind {
    DEBUG_HW_EXEC = 0,
    DEBUG_HW_WRITE = 1,
    DEBUG_HW_ACCESS = 3,
};
struct GuestDebugHw {
    uint64_t va;
    uint32_t kind; /* enum GuestDebugHwKind */
    uint32_t size; /* 1, 2, 4 or 8 bytes, to which va is aligned; 1 for DEBUG_HW_EXEC; 0: off */
};

/* Counters of a guest: sys_guest_stats. */
struct GuestStats {
    uint64_t exits;                   /* VM exits, the sum of reasons[] */
    uint64_t injected_pf;             /* page faults verified and injected (GUEST_INTERCEPT_PF) */
    uint64_t refused_pf;              /* intercepted page faults that were spurious: not injected */
    uint64_t unclaimed;               /* accesses to ports and memory that no device has, */
    uint64_t last_unclaimed;          /* and the last one's port, or gpa */
    uint64_t unknown_msrs;            /* RDMSR and WRMSR of MSRs that its CPU does not have */
    uint64_t pages;                   /* 4 KiB frames that the guest has as its memory */
    uint64_t large_pages;             /* pages of 2 MiB, whose 512 frames count above, too */
    uint64_t table_pages;             /* frames that hold second-stage tables */
    uint64_t start_tsc;               /* host TSC at its first entry */
    uint64_t reasons[GUEST_NREASONS]; /* exits by enum GuestExitReason */
    /* TSC ticks by the reason of the last exit: in the VMM, from the exit to the next entry or
     * until the guest has left its CPU, and from its return there to the entry; and stopped for the
     * monitor, from the stop to the answer. Not in them: the saving and restoring of registers in
     * assembly, which is the same for all exits. */
    uint64_t vmm_ticks[GUEST_NREASONS + 1]; /* the last: before the first entry */
    uint64_t monitor_ticks[GUEST_NREASONS];
    uint32_t last_reason;      /* of the last exit; GUEST_NREASONS: there was none */
    uint32_t traced;           /* exits that sys_guest_trace keeps; 0: it was never started */
    uint32_t last_unknown_msr; /* of unknown_msrs */
};

/* What came after an exit, as a trace tells it: name for programs, words for people. */
#define GUEST_ACTION_LIST(X)                    \
    X(RETRY, "goes on at the same instruction") \
    X(NEXT, "goes on after it")                 \
    X(INJECT, "goes on with an event injected") \
    X(MONITOR, "stops for its monitor")         \
    X(SLEEP, "sleeps until something happens")  \
    X(YIELD, "leaves the CPU to others")        \
    X(END, "ends")
enum GuestAction {
#define ACTION_ENUM(name, words) ACTION_##name,
    GUEST_ACTION_LIST(ACTION_ENUM)
#undef ACTION_ENUM
};

/* What an access to a control or debug register is. */
enum GuestRegAccess {
    REG_WRITE, /* MOV to it */
    REG_READ,  /* MOV from it */
    REG_CLTS,
    REG_LMSW,
    REG_UNKNOWN, /* the CPU does not report it */
};

#define GUEST_NO_VECTOR 0xffff

/* One exit in a trace: sys_guest_trace. What does not belong to its reason is 0. */
struct GuestTraceEntry {
    uint64_t tsc;      /* host TSC at the exit */
    uint64_t rip;      /* of the guest, at the exit */
    uint64_t info;     /* the CPU's own words: exit qualification, or EXITINFO1 */
    uint64_t address;  /* EXIT_MEMORY, EXIT_MISCONFIG: gpa; page fault: linear address */
    uint64_t detail;   /* MSR number, CPUID leaf, hypercall number, task's selector */
    uint64_t value;    /* what OUT or WRMSR writes, rbx of a hypercall, ecx of CPUID */
    uint32_t code;     /* the CPU's own number of the reason */
    uint32_t reason;   /* enum GuestExitReason */
    uint32_t ticks;    /* in its handler */
    uint8_t action;    /* enum GuestAction */
    uint8_t is_nmi;    /* EXIT_EXCEPTION: an NMI */
    uint16_t injected; /* ACTION_INJECT: the event's vector */
    uint16_t vector;   /* EXIT_EXCEPTION, EXIT_INTERRUPT; GUEST_NO_VECTOR: not known */
    uint8_t access,
        rights;        /* EXIT_MEMORY: sets of GUEST_READ ...: wanted, and given by the entry */
    struct GuestIo io; /* EXIT_IO */
    uint8_t string, rep;
    uint8_t reg, gpr; /* EXIT_CR_ACCESS, EXIT_DR_ACCESS: number, and that of the general register */
    uint8_t reg_access; /* enum GuestRegAccess */
    uint8_t pad[3];
};
#define GUEST_TRACE_DEFAULT 256 /* exits that a trace keeps, unless another number is given */
#define GUEST_TRACE_MAX     4096

/* One frame of a guest's call chain: sys_guest_backtrace. */
struct GuestFrame {
    uint64_t rip;    /* where it is, or where it returns to */
    uint32_t offset; /* in the function, bytes */
    uint32_t line;
    char fn[32]; /* "": not code of a kernel like this one, so nothing is known */
    char file[32];
};
#define GUEST_FRAMES_MAX 16
#endif

#endif
