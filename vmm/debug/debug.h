/*
 * Debugging a guest, for its monitor (sys_guest_debug). What a guest made with GUEST_DEBUG has for
 * it is one page. The guest's CPU copies the registers there when it stops the guest, and back when
 * the guest goes on, so the monitor, on whatever CPU it runs, never needs the VMCS.
 */
#ifndef JOS_VMM_DEBUG_H
#define JOS_VMM_DEBUG_H

#include <vmm/internal.h>

/* Bits of GuestDebug.request, from the monitor to the guest's CPU. */
#define DEBUG_REQ_RESUME (1u << 0) /* the registers go back to the VMCS */
#define DEBUG_REQ_STEP   (1u << 1)
#define DEBUG_REQ_PASS   (1u << 2)
#define DEBUG_REQ_DETACH (1u << 3)
#define DEBUG_REQ_STOP   (1u << 4)

#define NDRS 4

/* How the one instruction of a step is bounded. */
enum StepMode {
    STEP_NONE,
    STEP_MTF,   /* by the monitor trap flag */
    STEP_TRAP,  /* by RFLAGS.TF; all exceptions exit */
    STEP_EVENT, /* an event is injected, and the guest exits before its handler's first instruction
                 */
};

/* Instructions that see TF, or load it, and those that TF does not bound. */
enum StepInsn {
    INSN_OTHER,
    INSN_PUSHF,
    INSN_LOADS_TF, /* POPF, IRET, SYSRET */
    INSN_INT,      /* INT n, INT3, INT1 */
    INSN_SYSCALL,
};

struct GuestDebug {
    uint32_t request;  /* DEBUG_REQ_*; atomic */
    bool attached;     /* INT3 stops */
    bool held;         /* stopped until the debugger lets it go on */
    uint8_t mode;      /* enum StepMode */
    uint8_t insn;      /* enum StepInsn of the step */
    bool guest_tf;     /* the guest's own TF, while ours is in RFLAGS */
    bool owns_drs;     /* the debug registers are the debugger's, and the guest's are shadows */
    uint64_t step_rip; /* of STEP_MTF: where the instruction is */
    struct InjectEvent int3; /* of DEBUG_INT3: what to inject if it is the guest's own */
    struct GuestDebugHw hw[NDRS];
    uint64_t guest_dr7; /* while owns_drs */
    struct PagingMode paging;
    struct GuestDebugRegs regs;
};
_Static_assert(sizeof(struct GuestDebug) <= PGSIZE, "a debugger's state is one page");

/* ---- debug.c ---- */
/* Leave a request for the guest's CPU, which sees it before the next entry. */
void debug_ask(struct Guest *g, uint32_t request);
/* sys_guest_debug of an open guest. The guest's slot is locked. */
int64_t debug_command(struct Guest *g, int op, uint64_t arg, uintptr_t buf);
/* Before an entry: do what was asked for. false: the guest is not to be entered. */
bool debug_attend(struct Guest *g);
/* Stop the guest that runs here. causes: the debug registers of DEBUG_HW. Returns what leave does.
 */
bool debug_stop(struct Guest *g, enum GuestDebugStop why, uint64_t causes);
/* handle_exception for a guest that may be debugged. */
bool debug_exception(struct Guest *g, uint32_t info);

/* Is the guest stopped for its debugger, so that no answer lets it go on? */
static inline bool debug_holds(const struct Guest *g)
{
    return g->debug != NULL && g->debug->held;
}

/* ---- step.c ---- */
/* Is a step under way? Interrupts wait until it is over. */
static inline bool debug_steps(const struct Guest *g)
{
    return g->debug != NULL && g->debug->mode != STEP_NONE;
}
/* Make the guest that runs here stop behind one instruction. false: that instruction has been
 * executed here. */
bool step_begin(struct Guest *g);
/* Take all traces of the step away; done: the instruction has been executed. */
void step_end(struct Guest *g, bool done);
/* The instruction has raised an exception, or its event has met one: stop at the handler. */
void step_to_handler(struct Guest *g);
/* Exit before the first instruction that would follow an entry. */
void step_exit_at_once(void);

/* ---- mtf.c ---- */
/* Find out, once, whether this machine's monitor trap flag works; on the console if it is there and
 * does not. */
void mtf_test(void);
/* Has the test found that it works? */
bool mtf_works(void);
/* Turn it on or off for the guest that runs here. */
void mtf_set(struct Guest *g, bool on);
/* Its exit. */
bool handle_mtf(struct Guest *g);

/* ---- hw.c ---- */
/* Do the debug registers belong to the debugger? */
static inline bool debug_owns_drs(const struct Guest *g)
{
    return g->debug != NULL && g->debug->owns_drs;
}
/* Check and note a debug register of the debugger's; in effect from the next resume on. -E_INVAL */
int debug_set_hw(struct GuestDebug *d, uint64_t n, const struct GuestDebugHw *hw);
/* Bring the registers of the guest that runs here in line with what is set. */
void debug_switch_drs(struct Guest *g);
void debug_load_drs(const struct Guest *g);
/* The bits among causes (as DR6 has them) of registers that the debugger has set. */
uint64_t debug_hw_hits(const struct GuestDebug *d, uint64_t causes);
/* The guest's own debug registers while they are shadows: DR6 of a #DB, and MOV DR. */
void debug_set_status(struct Guest *g, uint64_t causes);
bool debug_movdr(struct Guest *g);

#endif
