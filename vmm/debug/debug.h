/*
 * Debugging a guest, for its monitor (sys_guest_debug). What a guest made with GUEST_DEBUG has for
 * it is one page. The guest's CPU copies the registers there when it stops the guest, and back when
 * the guest goes on, so the monitor, on whatever CPU it runs, never needs the control block.
 */
#ifndef JOS_VMM_DEBUG_DEBUG_H
#define JOS_VMM_DEBUG_DEBUG_H

#include <vmm/exception.h>
#include <vmm/vcpu.h>
#include <vmm/verdict.h>

/* Bits of GuestDebug.request, from the monitor to the guest's CPU. */
#define DEBUG_REQ_RESUME (1u << 0) /* the registers go back to the vCPU */
#define DEBUG_REQ_STEP   (1u << 1)
#define DEBUG_REQ_PASS   (1u << 2)
#define DEBUG_REQ_DETACH (1u << 3)
#define DEBUG_REQ_STOP   (1u << 4)

#define NDRS 4

/* How the one instruction of a step is bounded. */
enum StepMode {
    STEP_NONE,
    STEP_CPU,   /* by the CPU: Intel's monitor trap flag */
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
    uint64_t step_rip; /* of STEP_CPU: where the instruction is */
    struct Event int3; /* of DEBUG_INT3: what to inject if it is the guest's own */
    struct GuestDebugHw hw[NDRS];
    uint64_t guest_dr7; /* while owns_drs */
    struct PagingMode paging;
    struct GuestDebugRegs regs;
};
_Static_assert(sizeof(struct GuestDebug) <= PGSIZE, "a debugger's state is one page");

/* ---- debug.c ---- */
/* Leave a request for the guest's CPU, which sees it before the next entry. */
void debug_ask(struct Vcpu *v, uint32_t request);
/* sys_guest_debug of an open guest. The guest's slot is locked. */
int64_t debug_command(struct Vcpu *v, int op, uint64_t arg, uintptr_t buf);
/* Before an entry: do what was asked for. false: the guest is not to be entered. */
bool debug_attend(struct Vcpu *v);
/* Stop the guest that runs here. hits: the debug registers of DEBUG_HW. DO_LEAVE. */
enum Verdict debug_stop(struct Vcpu *v, enum GuestDebugStop why, uint64_t hits);
/* An intercepted exception of a guest that may be debugged. DO_AGAIN, DO_LEAVE. */
enum Verdict debug_exception(struct Vcpu *v, const struct VcpuException *x);
/* The CPU has ended a step (Backend.step). DO_AGAIN, DO_LEAVE. */
enum Verdict debug_stepped(struct Vcpu *v);

/* Is the guest stopped for its debugger, so that no answer lets it go on? */
static inline bool debug_holds(const struct Vcpu *v)
{
    return v->debug && v->debug->held;
}

/* ---- step.c ---- */
/* Is a step under way? Interrupts wait until it is over. */
static inline bool debug_steps(const struct Vcpu *v)
{
    return v->debug && v->debug->mode != STEP_NONE;
}
/* Make the guest that runs here stop after one instruction. false: that instruction has been
 * executed here. */
bool step_begin(struct Vcpu *v);
/* Take all traces of the step away; done: the instruction has been executed. */
void step_end(struct Vcpu *v, bool done);
/* The instruction has raised an exception, or its event has met one: stop at the handler. */
void step_to_handler(struct Vcpu *v);

/* ---- hw.c ---- */
/* Do the debug registers belong to the debugger? */
static inline bool debug_owns_drs(const struct Vcpu *v)
{
    return v->debug && v->debug->owns_drs;
}
/* Are the debug registers the guest's, or its debugger's, while it runs? */
static inline bool vcpu_uses_drs(const struct Vcpu *v)
{
    return v->dr_live || debug_owns_drs(v);
}
/* Check and note a debug register of the debugger's; in effect from the next resume on. -E_INVAL */
int debug_set_hw(struct GuestDebug *d, uint64_t n, const struct GuestDebugHw *hw);
/* Bring the registers of the guest that runs here in line with what is set. */
void debug_switch_drs(struct Vcpu *v);
void debug_load_drs(struct Vcpu *v);
/* The bits among causes (as DR6 has them) of registers that the debugger has set. */
uint64_t debug_hw_hits(const struct GuestDebug *d, uint64_t causes);
/* The guest's own debug registers while they are shadows: DR6 of a #DB, and MOV DR. */
void debug_set_status(struct Vcpu *v, uint64_t causes);
enum Verdict debug_movdr(struct Vcpu *v, int n, int gpr, bool read);

#endif
