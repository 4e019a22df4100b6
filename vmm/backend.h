/*
 * What a back end (vmx/ for Intel, svm/ for AMD) offers to the shared parts of the VMM. They call
 * it where speed does not matter: the roads of frequent exits lie inside the back end, which calls
 * the shared decisions.
 */
#ifndef JOS_VMM_BACKEND_H
#define JOS_VMM_BACKEND_H

#include <inc/types.h>
#include <inc/vmm.h>

struct Env;
struct PagingMode;
struct Vcpu;
struct VcpuException;

/* Registers of a vCPU that are not in its env's trap frame. */
enum VcpuReg {
    VREG_RIP,
    VREG_RSP,
    VREG_RFLAGS,
    VREG_CR0, /* as the guest sees it, like VREG_CR4 */
    VREG_CR3,
    VREG_CR4,
    VREG_EFER,
    VREG_DR6, /* while the debug registers are the guest's */
    VREG_DR7,
    VREG_PAT,
    VREG_FS_BASE,
    VREG_GS_BASE,
    VREG_KERNEL_GS_BASE,
    VREG_STAR,
    VREG_LSTAR,
    VREG_SFMASK,
    VREG_TSC_OFFSET,    /* guest TSC - host TSC */
    VREG_BLOCKING,      /* VBLOCK_* */
    VREG_PENDING_DEBUG, /* debug exceptions that are due, as DR6 has them; Intel only, else 0 */
};

/* Blocking of events (SDM "Guest Non-Register State"; APM 2 "Interrupt Shadows"). */
#define VBLOCK_STI    (1u << 0) /* AMD does not tell it from the next */
#define VBLOCK_MOV_SS (1u << 1)
#define VBLOCK_NMI    (1u << 3)

#define PENDING_DEBUG_ENABLED                                           \
    (1ul << 12) /* of VREG_PENDING_DEBUG: an enabled breakpoint was met \
                 */

/* In the order of instruction encodings. */
enum VcpuSegment {
    VSEG_ES,
    VSEG_CS,
    VSEG_SS,
    VSEG_DS,
    VSEG_FS,
    VSEG_GS
};

/* Bits of a segment's attributes: those of bytes 5 and 6 of its descriptor, and Intel's "unusable",
 * which is AMD's "not present". */
#define VSEG_TYPE       0xfu
#define VSEG_CODE       (1u << 3)
#define VSEG_READ_WRITE (1u << 1) /* data: writable; code: readable */
#define VSEG_DOWN       (1u << 2) /* data: expands down */
#define VSEG_DPL(a)     (((a) >> 5) & 3)
#define VSEG_L          (1u << 13)
#define VSEG_DB         (1u << 14)
#define VSEG_UNUSABLE   (1u << 16)
#define VSEG_CODE64     0xa09b /* present, code, execute-read, accessed, 64-bit, 4 KiB granular */
#define VSEG_DATA32     0xc093 /* present, data, read-write, accessed, 32-bit, 4 KiB granular */

struct Segment {
    uint16_t selector;
    uint32_t attributes; /* VSEG_* */
    uint32_t limit;      /* bytes - 1 */
    uint64_t base;
};

/* Entries of the second stage's tables, which allow a set of GUEST_READ, GUEST_WRITE, GUEST_FETCH.
 */
struct Stage2Format {
    uint64_t table;             /* bits of an entry that refers to a table */
    uint64_t rights[8];         /* bits of an entry that maps a page, by what it allows */
    uint64_t write;             /* bit that allows writes */
    uint64_t fetch, fetch_flip; /* (entry ^ fetch_flip) & fetch: allows instruction fetches */
    bool has_large;             /* this CPU has entries for 2 MiB (EPTE_LARGE) */
};
/* The back end's, once it was turned on. */
extern struct Stage2Format stage2;

/* What a guest can have of this CPU, once the back end was turned on. */
struct GuestFeatures {
    bool pat;          /* a PAT of its own */
    bool rdtscp;       /* RDTSCP, and so IA32_TSC_AUX */
    bool invpcid;      /* INVPCID */
    uint64_t cr4;      /* bits that may be set */
    uint64_t xcr0;     /* likewise */
    uint64_t xcr0_all; /* components that a guest can reach whatever it is told */
};
extern struct GuestFeatures guest_features;

/* Functions about a vCPU run on the CPU that has it, between an exit and the next entry, unless
 * they say otherwise. */
struct Backend {
    const char *name;          /* of the technique, for messages: "VT-x" */
    const char *control_block; /* what it calls a vCPU's: "VMCS" */

    /* Can this CPU run guests, as it is set up? 0, or -E_NOT_SUPP with the reason in why. Changes
     * nothing. */
    int (*check)(char *why, size_t size);
    /* Turn it on for this CPU, if it is off, and fill in stage2. 0 or -E_*, with words on the
     * console. */
    int (*turn_on)(void);

    /* A zeroed vCPU with its back end's pages, in *store; -E_NO_MEM. */
    int (*vcpu_alloc)(struct Vcpu **store);
    /* Take it off whatever CPU has it, and give its pages back. */
    void (*vcpu_free)(struct Vcpu *v);
    /* Enter guest e (it is curenv, its FPU state loaded) and handle its exits until the scheduler
     * is to be asked. When it returns, the caller calls sched_yield; e may be blocked. */
    void (*run)(struct Env *e);
    /* Out of the middle of an exit's handler: the guest leaves this CPU, which goes to its monitor.
     */
    void (*hand_over)(struct Vcpu *v);
    /* From an interrupt: another CPU wants a vCPU's state that this one still holds. */
    void (*put_down)(void);
    /* On the monitor's CPU, which has answered: the guest goes on after its instruction, if that
     * can be done here and now. false: not done. */
    bool (*skip_here)(struct Vcpu *v);
    /* Make the registers of a vCPU that has no CPU readable on this one, for a moment. Its env is
     * locked. false: not possible. */
    bool (*borrow)(struct Vcpu *v);
    void (*give_back)(struct Vcpu *v);

    uint64_t (*get)(const struct Vcpu *v, enum VcpuReg reg);
    void (*set)(struct Vcpu *v, enum VcpuReg reg, uint64_t value);
    struct Segment (*get_segment)(const struct Vcpu *v, enum VcpuSegment n);
    void (*set_segment)(struct Vcpu *v, enum VcpuSegment n, const struct Segment *s);
    /* Is the guest in 64-bit mode (not compatibility mode)? Can it take an interrupt between two
     * instructions right now? */
    bool (*in_64bit)(const struct Vcpu *v);
    bool (*interrupts_open)(const struct Vcpu *v);
    void (*paging_mode)(const struct Vcpu *v, struct PagingMode *m);

    /* Go on after the instruction that exited; length 0: what the CPU says it has. */
    void (*skip)(struct Vcpu *v, uint32_t length);
    /* A fault at the instruction that exited: RFLAGS.RF, and event_exception. */
    void (*inject_fault)(struct Vcpu *v, int vector, uint32_t error);
    /* Give the guest an exception that it would have had without the intercept. */
    void (*pass_exception)(struct Vcpu *v, const struct VcpuException *x);
    /* Intercept the exceptions that vcpu_exceptions names, and those in `more` (one bit a vector).
     */
    void (*set_exceptions)(struct Vcpu *v, uint32_t more);
    /* Accesses to debug registers exit, or do not. */
    void (*set_dr_exits)(struct Vcpu *v, bool exits);
    /* Before the first vCPU that may be debugged: find out what step can do. */
    void (*prepare_steps)(void);
    /* Exit after the next instruction, or before the handler it calls. false: the CPU cannot. */
    bool (*step)(struct Vcpu *v, bool on);
    /* Exit before the first instruction that would follow the next entry. */
    void (*exit_at_once)(struct Vcpu *v);

    /* What the exit that has just happened was, beyond what registers tell. */
    void (*describe)(const struct Vcpu *v, struct GuestTraceEntry *e);
    /* The event that the next entry injects, as EVENT_*; 0: none. */
    uint32_t (*injected)(const struct Vcpu *v);
    /* Check the control block as it stands: prints what breaks a rule. Number of violations. */
    unsigned (*check_entry)(struct Vcpu *v);
    /* Break it as the case of the checker's self test does whose number is in the guest's name. */
    void (*break_entry)(struct Vcpu *v);
    /* At boot: compare the checker with the CPU, rule by rule. */
    void (*self_test)(void);
    /* Print the control block that is current on this CPU; with copy, keep a copy for a debugger
     * instead. */
    void (*print)(bool copy);
};

extern const struct Backend vmx_backend;
/* The one that this machine has; vmx_backend if it has none, and its check says why. */
extern const struct Backend *backend;
/* LAB project cut */
extern const struct Backend svm_backend;
/* At boot: find out which. */
void backend_choose(void);
/* LAB project end */
/* Can this machine run guests? 0, or -E_NOT_SUPP with what each back end lacks, and what to do
 * instead, in why. */
int backend_check(char *why, size_t size);

#endif
