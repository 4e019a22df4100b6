/*
 * One CPU of a guest. What a back end keeps beside it follows it in memory: struct VmxVcpu and
 * struct SvmVcpu begin with it. General registers are in its env's env_tf while it is not entered.
 */
#ifndef JOS_VMM_VCPU_H
#define JOS_VMM_VCPU_H

#include <kern/cpu.h>
#include <inc/once.h>
#include <inc/trap.h>
#include <inc/vmm.h>
#include <inc/x86.h>
#include <kern/env.h>
#include <vmm/apic_insn.h>
#include <vmm/code.h>
#include <vmm/event.h>
#include <vmm/leaf.h>
#include <vmm/mtrr.h>
#include <vmm/paging.h>
#include <vmm/vapic_state.h>
#include <vmm/vm.h>

/* Where a guest stands towards its monitor. */
enum GuestState {
    GUEST_RUNS = 0,  /* not stopped for the monitor */
    GUEST_EVENT,     /* stopped; the monitor has not seen the event yet */
    GUEST_DELIVERED, /* stopped; the monitor's next sys_guest_run answers */
};

/* Work to do before the next entry (Vcpu.attn). */
#define ATTN_EVENT        (1u << 0) /* Vcpu.event is to be injected */
#define ATTN_IRQ          (1u << 1) /* the virtual APIC may have something to deliver */
#define ATTN_SKIP         (1u << 2) /* the monitor answered: go on after the instruction */
#define ATTN_STAGE2_FLUSH (1u << 3) /* second-stage entries have shrunk */
#define ATTN_TLB_FLUSH    (1u << 4) /* the guest's own translations are to be dropped */
#define ATTN_END          (1u << 5) /* the guest has ended */
#define ATTN_DEBUG        (1u << 6) /* its debugger wants something: debug_attend */
#define ATTN_CHECK        (1u << 7) /* check the control block before its entry */
#define ATTN_FLUSH        (ATTN_STAGE2_FLUSH | ATTN_TLB_FLUSH)
#define ATTN_NMI          (1u << 8)  /* an NMI waits, and may be able to enter */
#define ATTN_ANSWER       (1u << 9)  /* the monitor's answer to an access to memory: stop.c */
#define ATTN_TRAP         (1u << 10) /* SVM: an instruction was executed here with RFLAGS.TF */

#define CPUID_PLAIN_MAX 3 /* up to this leaf of CPUID, answers are rows of Vcpu.cpuid */

#define QUICK_NONE 0 /* of Vcpu.quick_reasons */

/* A deadline (host TSC) that has come already: see to it before the next entry. */
#define AT_ONCE 0

/* An INS or OUTS for whose element the guest is stopped; size 0: none. */
struct StringIo {
    uint32_t size;         /* bytes of an element */
    bool rep, backwards;   /* REP prefix; RFLAGS.DF */
    uint64_t address_mask; /* the instruction's address size, for RCX, RSI and RDI */
    uint64_t value;        /* of an OUTS, for the monitor's RAX */
    gpa_t gpa[4];          /* of each byte of the element */
};

/* A call chain, innermost frame first. */
struct GuestChain {
    unsigned n;
    uint32_t known; /* bit i: frames[i] is code that the guest and this kernel share */
    uint64_t frames[GUEST_FRAMES_MAX];
};

/* How often, and for how long, the vCPU exited; by enum GuestExitReason. */
struct ExitStats {
    uint64_t count[GUEST_NREASONS];
    uint64_t vmm_ticks[GUEST_NREASONS + 1], monitor_ticks[GUEST_NREASONS]; /* as in GuestStats */
    uint64_t injected_pf, refused_pf, start_tsc;
    uint64_t unknown_msrs;     /* RDMSR and WRMSR of MSRs that its CPU does not have, */
    uint32_t last_unknown_msr; /* and the last one */
};

/* An instruction that accesses the page of the local APIC, decoded. */
struct ApicSite {
    struct CodePlace place;
    uint32_t bits; /* of its code */
    struct ApicMov mov;
};
#define NAPIC_SITES 4

struct Vcpu {
    struct Env *env; /* its registers are in env->env_tf */
    struct Vm *vm;
    uint32_t attn;          /* ATTN_* */
    bool started;           /* has been entered once */
    bool halted;            /* executed HLT, no interrupt since */
    bool nmi;               /* an NMI waits; more than one are one, as on a CPU */
    bool dr_live;           /* uses debug registers: they are switched */
    bool xsave;             /* has set CR4.OSXSAVE: vmm/xstate.h */
    bool has_extras;        /* one of these two, or it has a debugger: vmm/extras.h */
    bool doomed;            /* ended; only waits for the monitor to hear of it */
    bool traced;            /* exits take the long way, past vmm/trace.c */
    uint16_t quick_reasons; /* exits with the CPU's own numbers below this take the straight road:
                             * the back end's choice, QUICK_NONE in a traced guest */
    uint64_t prepare_at;    /* host TSC from which on an entry needs preparation */
    uint64_t look_at;       /* host TSC at which that looks around */
    uint64_t stay_until;    /* host TSC at which this stay on the CPU ends */
    uint32_t last_cpu;      /* CPU it was entered on last */
    struct Event event;

    struct LeafCache leaf; /* of the second stage: what was looked up last */
    uint64_t tsc_offset;   /* guest TSC - host TSC */
    uint64_t tsc_adjust;   /* IA32_TSC_ADJUST */
    uint64_t cr2;          /* while not on a CPU */
    uint64_t dr[4], dr6;   /* likewise, if dr_live */
    uint64_t efer_reserved;
    uint64_t xcr0;                               /* likewise, if xsave */
    struct CpuidRegs cpuid[CPUID_PLAIN_MAX + 1]; /* what these leaves say */
    struct Mtrrs mtrrs;
    struct Vapic vapic;
    struct ApicSite apic_sites[NAPIC_SITES];
    gpa_t recv_gpa; /* WAIT_HOSTRECV: where the page goes */

    /* Last page fault found spurious (GUEST_INTERCEPT_PF) */
    uint64_t spurious_rip, spurious_va;

    struct GuestDebug *debug; /* one page; NULL: made without GUEST_DEBUG */
    /* The checker of VM entries */
    uint64_t entries_checked;
    bool started_checks;
    bool check_reported; /* its violations, and it is done */

    struct StringIo string_io;
    struct PagingMode paging; /* as it was at the last stop with registers */
    enum GuestState state;    /* like doomed, under the env's lock */
    struct GuestExit exit;    /* the event for the monitor; registers are in it while it stops */
    struct GuestExit *shared; /* the monitor's page (sys_guest_share), with a reference; or NULL */
    struct GuestSerial *serial; /* in that page, or NULL */
    bool serial_answers;        /* the next read of the line status is answered */
    bool serial_waits;          /* the monitor is to hear of the ring, and has not looked since */
    struct ExitStats stats;

    /* Clocks of the statistics */
    uint32_t clock_start;  /* low half of the host TSC at the last exit, or return to a CPU */
    uint32_t clock_reason; /* of the last exit; GUEST_NREASONS: none, or unknown */
    uint64_t stop_tsc;     /* host TSC of the last stop for the monitor */

    struct Trace *trace;     /* NULL: not traced */
    struct GuestChain chain; /* at the guest's end */
};

/* Ask for ATTN_* work before the next entry. Another CPU than the guest's interrupts that one
 * afterwards, so it does not matter if its prepare_at is lost. */
static inline void vcpu_attn(struct Vcpu *v, uint32_t bits)
{
    __atomic_or_fetch(&v->attn, bits, __ATOMIC_RELAXED);
    v->prepare_at = AT_ONCE;
}

/* The guest's or the host's deadlines may have changed: look at them before the next entry. */
static inline void look_around_soon(struct Vcpu *v)
{
    v->look_at = v->prepare_at = AT_ONCE;
}

/* An NMI for the guest. Any CPU may do that: one that comes while another is let in merges with it.
 */
static inline void vcpu_nmi(struct Vcpu *v)
{
    WRITE_ONCE(v->nmi, true);
    vcpu_attn(v, ATTN_NMI);
}

/* Start the clock of ExitStats.vmm_ticks. Half of the TSC is enough: nothing keeps the VMM for the
 * second and more in which that wraps. */
static inline void start_vmm_clock(struct Vcpu *v)
{
    uint32_t low;
    asm volatile("rdtsc" : "=a"(low) : : "edx");
    v->clock_start = low;
}

/* Count the exit that has just happened. */
static inline void count_exit(struct Vcpu *v, enum GuestExitReason reason)
{
    start_vmm_clock(v);
    v->clock_reason = reason;
    v->stats.count[reason]++;
}

/* Charge the ticks since the clock's start to the last exit. */
static inline void charge_vmm_ticks(struct Vcpu *v, uint64_t now)
{
    v->stats.vmm_ticks[v->clock_reason] += (uint32_t)now - v->clock_start;
}

/* All that had to be done before this entry is done. */
static inline bool entry_is_prepared(struct Vcpu *v)
{
    v->prepare_at = v->look_at;
    charge_vmm_ticks(v, read_tsc());
    return true;
}

/* Exceptions that always exit, one bit a vector. #DB and #AC: their delivery can raise them again
 * without end, and only an exit lets the host back in. Machine checks are the host's. Page faults
 * exit if the monitor asked for it. */
static inline uint32_t vcpu_exceptions(const struct Vcpu *v)
{
    uint32_t page_faults = v->vm->flags & GUEST_INTERCEPT_PF ? 1u << T_PGFLT : 0;
    return 1u << T_DEBUG | 1u << T_ALIGN | 1u << T_MCHK | page_faults;
}

/* General register n as instructions number them; RSP is the back end's. */
uint64_t vcpu_gpr(const struct Vcpu *v, int n);
/* The same as it stands, whatever the guest's mode. */
uint64_t vcpu_whole_gpr(const struct Vcpu *v, int n);
void vcpu_set_gpr(struct Vcpu *v, int n, uint64_t value);

/* ---- For system calls ---- */
/* Is e a guest's vCPU of this id? Its lock (one of the two) is held. The id first: with just
 * env_mem held, a slot of another id may be on its way to a new owner. */
static inline bool is_guest_env(const struct Env *e, envid_t id)
{
    return READ_ONCE(e->env_id) == id && e->env_guest && env_is_alive(e);
}

/* The vCPU of this id, whoever has made it, or NULL. It cannot go away until guest_close: its
 * slot's lock is held, and an env gives up env_guest under that lock. */
static inline struct Vcpu *guest_find(envid_t id)
{
    struct Env *e = env_slot(id);
    spin_lock(env_mem(e));
    if (is_guest_env(e, id))
        return e->env_guest;
    spin_unlock(env_mem(e));
    return NULL;
}

/* The same of a guest that the caller has made. */
static inline struct Vcpu *guest_open(envid_t id)
{
    struct Env *e = env_slot(id);
    spin_lock(env_mem(e));
    if (is_guest_env(e, id) && e->env_parent_id == curenv->env_id)
        return e->env_guest;
    spin_unlock(env_mem(e));
    return NULL;
}

static inline void guest_close(struct Vcpu *v)
{
    spin_unlock(env_mem(v->env));
}

#endif
