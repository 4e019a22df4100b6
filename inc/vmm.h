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
#define VMX_VMCALL_EXITS \
    8 /* rbx: basic exit reason, or ~0: all -> rcx: exits of this guest, this call's included */

/* Destination of VMX_VMCALL_IPCSEND: the host's file server. No other exists. */
#define VMX_HOST_FS_ENV 1

/* Longest text of VMX_VMCALL_CONS_WRITE, bytes. */
#define VMX_CONS_MAX 4096

/* CPUID leaves of the hypervisor. */
#define HV_CPUID_BASE   0x40000000 /* eax: highest leaf; ebx, ecx, edx: signature */
#define HV_CPUID_TIMING 0x40000010 /* eax: TSC kHz, ebx: local APIC timer kHz */
#define HV_CPUID_MAX    HV_CPUID_TIMING
#define HV_SIGNATURE    "JOSvmmJOSvmm"

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

/* Why sys_guest_run returned. */
enum GuestEvent {
    GUEST_EV_NONE = 0,
    GUEST_EV_IO,      /* stopped at an I/O instruction that the kernel does not handle */
    GUEST_EV_MMIO,    /* stopped at an access to a gpa that is not RAM */
    GUEST_EV_VMCALL,  /* stopped at a console hypercall */
    GUEST_EV_CONSOLE, /* not stopped: the host's console has input for the monitor */
    GUEST_EV_MESSAGE, /* not stopped: an env waits to give the monitor a message */
    GUEST_EV_SERIAL,  /* not stopped: the serial port that the monitor has opened has input */
    GUEST_EV_DEBUG,   /* stopped for a debugger; code = enum GuestDebugStop */
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

/*
 * The page that kernel and monitor share (sys_guest_share). The kernel writes what belongs to a
 * stop; for GUEST_EV_IO that is io and the register rax. The monitor's answer is in skip and in
 * registers: rax for GUEST_EV_IO, else rax, rbx, rcx, rdx and rsi.
 */
struct GuestExit {
    struct GuestIo io; /* the instruction, decoded */
    uint8_t skip;      /* answer: 1 = go on behind the instruction */
    uint8_t pad[3];
    uint32_t event;         /* enum GuestEvent */
    uint32_t exit_reason;   /* VMX basic exit reason */
    uint64_t qualification; /* SDM "Exit Qualification" */
    uint64_t gpa;           /* GUEST_EV_MMIO: the address */
    uint32_t code;          /* GUEST_EV_OFF: status; GUEST_EV_DEBUG: enum GuestDebugStop */
    uint32_t pad2;
    struct GuestRegs regs;
    char why[128]; /* GUEST_EV_DEAD: words */
};

/* Why a guest is stopped for a debugger. */
enum GuestDebugStop {
    DEBUG_ASKED,   /* GUEST_DEBUG_STOP, or this is where it starts */
    DEBUG_STEPPED, /* GUEST_DEBUG_STEP has been done */
    DEBUG_INT3,    /* at an INT3 instruction, whoever has put it there */
    DEBUG_HW,      /* a debug register; bit n of qualification: register n */
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
                            * -E_INVAL:  a base or rip is no canonical address, or cr3 has reserved
                            * bits */
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
#define GUEST_NREASONS 70
struct GuestStats {
    uint64_t exits;                   /* VM exits, the sum of reasons[] */
    uint64_t injected_pf;             /* page faults verified and injected (GUEST_INTERCEPT_PF) */
    uint64_t refused_pf;              /* intercepted page faults that were spurious: not injected */
    uint64_t pages;                   /* 4 KiB frames that the guest has as its memory */
    uint64_t large_pages;             /* pages of 2 MiB, whose 512 frames count above, too */
    uint64_t ept_pages;               /* frames that hold EPT tables */
    uint64_t start_tsc;               /* host TSC at its first entry */
    uint64_t reasons[GUEST_NREASONS]; /* exits by basic reason */
    /* TSC ticks by the reason of the last exit: in the VMM, from the exit to the next entry or
     * until the guest has left its CPU, and from its return there to the entry; and stopped for the
     * monitor, from the stop to the answer. Not in them: the saving and restoring of registers in
     * assembly, which is the same for all exits. */
    uint64_t vmm_ticks[GUEST_NREASONS + 1]; /* the last: before the first entry */
    uint64_t monitor_ticks[GUEST_NREASONS];
    uint32_t last_reason; /* of the last exit; GUEST_NREASONS: there was none */
    uint32_t traced;      /* exits that sys_guest_trace keeps; 0: it was never started */
};

/* What came after an exit, as a trace tells it: name for programs, words for people. */
#define GUEST_ACTION_LIST(X)                    \
    X(RETRY, "goes on at the same instruction") \
    X(NEXT, "goes on behind it")                \
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

/* One exit in a trace: sys_guest_trace. */
struct GuestTraceEntry {
    uint64_t tsc;           /* host TSC at the exit */
    uint64_t rip;           /* of the guest, at the exit */
    uint64_t qualification; /* SDM "Exit Qualification" */
    uint64_t gpa;           /* EPT violation or misconfiguration: the address */
    uint64_t detail;        /* MSR number, CPUID leaf, hypercall number, interruption information */
    uint64_t value;         /* what OUT or WRMSR writes, rbx of a hypercall, ecx of CPUID */
    uint32_t reason;        /* basic exit reason */
    uint32_t ticks;         /* in its handler */
    uint32_t action;        /* enum GuestAction */
    uint32_t injected;      /* ACTION_INJECT: the event, as VM-entry interruption information */
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
