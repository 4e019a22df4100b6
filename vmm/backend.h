/*
 * What a back end (vmx/ for Intel, svm/ for AMD) offers to the shared parts of the VMM. They call it
 * where speed does not matter: the roads of frequent exits lie inside the back end, which calls the
 * shared decisions.
 */
#ifndef JOS_VMM_BACKEND_H
#define JOS_VMM_BACKEND_H

#include <inc/types.h>
#include <inc/vmm.h>

struct PagingMode;
struct Vcpu;

/* Registers of a vCPU that are not in its env's trap frame. */
enum VcpuReg {
    VREG_RIP,
    VREG_RSP,
    VREG_RFLAGS,
    VREG_CR0, /* as the guest sees it, like VREG_CR4 */
    VREG_CR3,
    VREG_CR4,
    VREG_EFER,
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

struct Segment {
    uint16_t selector;
    uint32_t attributes; /* VSEG_* */
    uint32_t limit;      /* bytes - 1 */
    uint64_t base;
};

/* Entries of the second stage's tables, by what they allow. */
struct Stage2Format {
    uint64_t table;     /* bits of an entry that refers to a table */
    uint64_t rights[8]; /* bits of an entry that maps a page, by GUEST_READ | GUEST_WRITE |
                         * GUEST_FETCH; 0 for sets that the CPU cannot give */
    uint64_t large;     /* bit of an entry that maps 2 MiB */
    uint64_t write;     /* bit that allows writes */
    bool has_large;     /* this CPU has such entries */
};

/* Functions about a vCPU run on the CPU that has it, between an exit and the next entry, unless they
 * say otherwise. */
struct Backend {
    const char *name;     /* of the technique, for messages: "VT-x" */
    const char *checker;  /* of the checker's lines: "vmxcheck" */
    const struct Stage2Format *stage2;

    /* Can this CPU run guests, as it is set up? 0, or -E_NOT_SUPP with the reason in why. Changes
     * nothing. */
    int (*check)(char *why, size_t size);
    /* Turn it on for this CPU, if it is off. 0 or -E_*, with words on the console. */
    int (*turn_on)(void);

    /* A zeroed vCPU with its back end's pages, in *store; -E_NO_MEM. */
    int (*vcpu_alloc)(struct Vcpu **store);
    /* Take it off whatever CPU has it, and give its pages back. */
    void (*vcpu_free)(struct Vcpu *v);
    /* Enter the guest and handle its exits until the scheduler is to be asked. */
    void (*run)(struct Vcpu *v);
    /* Out of the middle of an exit's handler: the guest leaves this CPU, which goes to its monitor. */
    void (*hand_over)(struct Vcpu *v);
    /* From an interrupt: another CPU wants a vCPU's state that this one still holds. */
    void (*put_down)(void);
    /* On any CPU: can the state of v, which is stopped, be read and written here and now? */
    bool (*is_here)(const struct Vcpu *v);
    /* The same made true for a moment, on any CPU, of a vCPU that has none: false: not possible. */
    bool (*borrow)(struct Vcpu *v);
    void (*give_back)(struct Vcpu *v);

    uint64_t (*get)(const struct Vcpu *v, enum VcpuReg reg);
    void (*set)(struct Vcpu *v, enum VcpuReg reg, uint64_t value);
    struct Segment (*get_segment)(const struct Vcpu *v, enum VcpuSegment n);
    void (*set_segment)(struct Vcpu *v, enum VcpuSegment n, const struct Segment *s);
    void (*paging_mode)(const struct Vcpu *v, struct PagingMode *m);

    /* Go on after the instruction that exited; length 0: what the CPU says it has. */
    void (*skip)(struct Vcpu *v, uint32_t length);
    /* A fault at the instruction that exited: RFLAGS.RF, and event_exception. */
    void (*inject_fault)(struct Vcpu *v, int vector, uint32_t error);
    /* Intercept the exceptions that vcpu_exceptions names, and those in `more` (one bit a vector). */
    void (*set_exceptions)(struct Vcpu *v, uint32_t more);
    /* Accesses to debug registers exit, or do not. */
    void (*set_dr_exits)(struct Vcpu *v, bool exits);
    /* Exit after the next instruction, or before the handler it calls. false: the CPU cannot. */
    bool (*step)(struct Vcpu *v, bool on);
    /* Exit before the first instruction that would follow the next entry. */
    void (*exit_at_once)(struct Vcpu *v);

    /* What the exit that has just happened was: all fields but tsc, ticks and action. */
    void (*describe)(const struct Vcpu *v, struct GuestTraceEntry *e);
    /* The event that the next entry injects, as EVENT_*; 0: none. */
    uint32_t (*injected)(const struct Vcpu *v);
    /* Check the control block before its entry: prints what breaks a rule. Number of violations. */
    unsigned (*check_entry)(struct Vcpu *v, bool print);
    /* On the console: the control block that is current here, for the kernel monitor. */
    void (*print)(void);
};

extern const struct Backend vmx_backend, svm_backend;
/* The one that this machine has; vmx_backend if it has none, and its check says why. */
extern const struct Backend *backend;

#endif
