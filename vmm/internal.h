/*
 * The inside of the VMM: struct Guest, and what its files offer to each other. Everything a guest
 * has is in its struct Guest; the VMM has no variable that two guests share except constants of the
 * machine.
 */
#ifndef JOS_VMM_INTERNAL_H
#define JOS_VMM_INTERNAL_H

#include <inc/error.h>
#include <inc/mmu.h>
#include <inc/stdio.h>
#include <inc/string.h>
#include <inc/x86.h>
#include <kern/cpu.h>
#include <kern/env.h>
#include <kern/pmap.h>
#include <kern/sched.h>
#include <kern/sysmem.h>
#include <kern/uaccess.h>
#include <vmm/hooks.h>
#include <vmm/vapic.h>
#include <vmm/vmx/vmcs.h>

/* Where a guest stands towards its monitor. */
enum GuestState {
    GUEST_RUNS = 0,  /* not stopped for the monitor */
    GUEST_EVENT,     /* stopped; the monitor has not seen the event yet */
    GUEST_DELIVERED, /* stopped; the monitor's next sys_guest_run answers */
};

/* Work to do before the next entry (Guest.attn). */
#define ATTN_EVENT     (1u << 0) /* Guest.event is to be injected */
#define ATTN_IRQ       (1u << 1) /* the virtual APIC may have something to deliver */
#define ATTN_SKIP      (1u << 2) /* the monitor answered: go on behind the instruction */
#define ATTN_EPT_FLUSH (1u << 3) /* EPT entries have shrunk */
#define ATTN_TLB_FLUSH (1u << 4) /* the guest's own translations are to be dropped */
#define ATTN_END       (1u << 5) /* the guest has ended */
#define ATTN_DEBUG     (1u << 6) /* its debugger wants something: debug_attend */
#define ATTN_CHECK     (1u << 7) /* check the VMCS: check_entry */
#define ATTN_FLUSH     (ATTN_EPT_FLUSH | ATTN_TLB_FLUSH)
#define ATTN_NMI       (1u << 8) /* an NMI waits, and may be able to enter */

/* An event to inject, as the VM-entry fields want it. */
struct InjectEvent {
    uint32_t info; /* INTR_*; 0: none */
    uint32_t error;
    uint32_t length; /* of the instruction, for software interrupts and exceptions */
};

/* SDM "VM-Exit Controls for MSRs": an entry of an MSR area. */
struct MsrEntry {
    uint32_t index, reserved;
    uint64_t value;
};
_Static_assert(sizeof(struct MsrEntry) == 16, "MSR-area entry");
#define NSWITCHED_MSRS 6

/* An INS or OUTS for whose element the guest is stopped; size 0: none. */
struct StringIo {
    uint32_t size;         /* bytes of an element */
    bool rep, backwards;   /* REP prefix; RFLAGS.DF */
    uint64_t address_mask; /* the instruction's address size, for RCX, RSI and RDI */
    uint64_t value;        /* of an OUTS, for the monitor's RAX */
    gpa_t gpa[4];          /* of each byte of the element */
};

/* What maps 2 MiB of guest memory: a table of level 0, or the one entry of a large page. Such
 * tables stay to the guest's end, and a large page is split at most once. */
struct EptLeaf {
    uint64_t region;   /* LEAF_REGION of its gpas; NO_REGION: none */
    uint64_t *entries; /* of 4 KiB; or the large page's */
    uint64_t index;    /* bits of a gpa's page number that select the entry */
    uint64_t offset;   /* bits of a gpa that are below what an entry maps */
};

/* A call chain, innermost frame first. */
struct GuestChain {
    unsigned n;
    uint32_t known; /* bit i: frames[i] is code that the guest and this kernel share */
    uint64_t frames[GUEST_FRAMES_MAX];
};

struct Guest {
    struct Env *env;     /* its registers are in env->env_tf */
    uint32_t attn;       /* ATTN_* */
    bool launched;       /* the VMCS is in launched state */
    bool vmcs_ready;     /* vmcs_guest_init was done */
    bool started;        /* has been entered once */
    bool halted;         /* executed HLT, no interrupt since */
    bool window;         /* interrupt-window exiting is on */
    bool nmi;            /* an NMI waits; more than one are one, as on a CPU */
    bool dr_live;        /* uses debug registers: they are switched */
    bool doomed;         /* ended; only waits for the monitor to hear of it */
    uint64_t prepare_at; /* host TSC from which on an entry needs prepare_entry; 0: the next one */
    uint64_t look_at;    /* host TSC at which that looks around; 0: the next time */
    uint64_t stay_until; /* host TSC at which this stay on the CPU ends */
    uint64_t host_rsp;   /* HOST_RSP as it stands in the VMCS */
    uint32_t proc;       /* primary controls as they stand in the VMCS */
    int vmcs_cpu;        /* CPU on which the VMCS is active; -1: none */
    uint32_t last_cpu;   /* CPU it was entered on last */
    void *vmcs;          /* one page */
    uint8_t *msr_bitmap; /* one page */
    struct InjectEvent event;

    /* Memory. mem_lock protects the EPT. */
    struct spinlock mem_lock;
    uint64_t memsize; /* bytes of RAM */
    uint64_t *ept;    /* root table */
    uint64_t eptp;
    struct EptLeaf ept_leaf; /* what was looked up last */
    bool small_pages_only;   /* ept_map_large has said -E_NOT_SUPP */

    uint64_t tsc_offset; /* guest TSC - host TSC */
    uint64_t cr2;        /* while not on a CPU */
    uint64_t dr[4], dr6; /* likewise, if dr_live */
    gpa_t entry, mbi;    /* entry point, multiboot information */
    int flags;           /* GUEST_INTERCEPT_PF */
    struct Vapic vapic;

    /* IPC with the host's file server */
    gpa_t recv_gpa; /* WAIT_HOSTRECV: where the page goes */
    bool msg_full;  /* one message that came before the guest asked: */
    uint64_t msg_value, msg_perm;
    struct PageInfo *msg_page;

    /* Last page fault found spurious (GUEST_INTERCEPT_PF) */
    uint64_t spurious_rip, spurious_va;

    struct GuestDebug *debug; /* one page; NULL: made without GUEST_DEBUG */
    /* VM-entry checker */
    uint64_t entries_checked;
    bool started_checks; /* check_entry has been there */
    bool check_reported; /* its violations, and it is done */

    struct StringIo string_io;
    enum GuestState state;    /* like doomed, under the env's lock */
    struct GuestExit exit;    /* the event for the monitor; registers are in it while it stops */
    struct GuestExit *shared; /* the monitor's page (sys_guest_share), with a reference; or NULL */
    struct GuestStats stats;

    /* Clocks of GuestStats.vmm_ticks and monitor_ticks */
    uint32_t clock_start;  /* low half of the host TSC at the last exit, or return to a CPU */
    uint32_t clock_reason; /* basic reason of the last exit; GUEST_NREASONS: none, or unknown */
    uint64_t stop_tsc;     /* host TSC of the last stop for the monitor */

    /* Exits of reasons from here on take the long way through vmexit: NREASONS, or 0 in a traced
     * guest. */
    uint64_t first_rare_reason;
    struct Trace *trace;     /* NULL: not traced */
    struct GuestChain chain; /* at the guest's end */

    struct MsrEntry guest_msrs[NSWITCHED_MSRS] __attribute__((aligned(16)));
    struct MsrEntry host_msrs[NSWITCHED_MSRS] __attribute__((aligned(16)));
};
_Static_assert(sizeof(struct Guest) <= PGSIZE, "a guest's state is one page");

/* ---- guest.c ---- */
/* A guest without an env yet. -E_NO_MEM. guest_drop gives everything back. */
int guest_alloc(struct Guest **store, uint64_t memsize, gpa_t entry, int flags);
void guest_drop(struct Guest *g);
/* End a guest: it never runs again, and its monitor hears the reason. Safe at any time and twice:
 * the first reason stays. */
void guest_kill(struct Guest *g, const char *fmt, ...) __attribute__((format(printf, 2, 3), cold));

/* The same for the monitor, which is the current env and has locked the guest's env. */
void guest_doom(struct Guest *g, const char *why);

/* ---- stop.c ---- */
/* Stop the guest that runs here for its monitor; what belongs to the event is in g->exit, but for
 * registers. Does not return if the monitor gets the CPU at once. */
bool guest_stop(struct Guest *g, enum GuestEvent event);
/* Lock the guest's env, and its monitor's, which is the result. */
static inline struct Env *guest_lock_both(const struct Guest *g)
{
    struct Env *e = g->env, *monitor = env_slot(e->env_parent_id);
    env_lock(e);
    env_lock_also(e, monitor);
    return monitor;
}
/* Does the monitor wait for an event of this guest? Both are locked. A guest ends before its
 * monitor's id does. */
static inline bool monitor_waits(const struct Guest *g, const struct Env *monitor)
{
    return monitor->env_wait == WAIT_GUEST && monitor->env_wait_id == g->env->env_id;
}

/* Guest memory: ept.c, gmem.c, gwalk.c */
#include <vmm/memory.h>

/* ---- inject.c ---- */
/* Inject a hardware exception, merged with an event whose delivery it interrupted (SDM "Interrupt
 * 8-Double Fault Exception"). */
void inject_exception(struct Guest *g, int vector, uint32_t error);
/* The same for a fault: its frame has RFLAGS.RF (SDM "Instruction-Breakpoint Exception
 * Condition"). */
void inject_fault(struct Guest *g, int vector, uint32_t error);
/* The instruction that exited is to be executed again, and an instruction breakpoint there has been
 * reported already: set RFLAGS.RF (SDM "Saving RIP, RSP, RFLAGS, and SSP"). */
void set_resume_flag(void);
/* An NMI for the guest. On its own CPU. */
void inject_nmi(struct Guest *g);
/* The exit came from an IRET that had ended the blocking of NMIs already, and that is now to be
 * executed again (SDM "Resuming Guest Software after Handling an Exception"). */
void block_nmis_again(struct Guest *g);
/* #UD, or #GP(0), for the instruction that exited. */
bool inject_ud(struct Guest *g);
bool inject_gp(struct Guest *g);
/* Keep the event that info, the IDT-vectoring information, tells of. */
void keep_event(struct Guest *g, uint32_t info);
/* Keep the event whose delivery this exit interrupted, if there is one. */
static inline void keep_vectored_event(struct Guest *g)
{
    uint32_t info = vmread_known(VMCS_IDT_VECTORING_INFO);
    if (__builtin_expect(info & INTR_VALID, 0))
        keep_event(g, info);
}
/* Do what Guest.attn asks for, as the last thing before an entry. false: leave the guest. */
bool attend(struct Guest *g);
/* Can the guest take an external interrupt between two instructions right now? */
bool interrupts_open(void);

/* ---- run.c ---- */
/*
 * What comes after an exit. A handler's last act is to call one of these, and to return what it
 * returns: true: enter the guest again; false: leave it, and ask the scheduler. resume goes on at
 * the instruction that exited, skip behind it. Both may find that the host wants the CPU.
 */
bool resume(struct Guest *g);
bool skip(struct Guest *g);
bool leave(struct Guest *g);
bool skip_and_leave(struct Guest *g);
/* Go on behind the instruction that exited, whatever comes next. */
void skip_instruction(void);
/* A guest in HLT goes on only with an interrupt that it can take. true: it has one; false: it has
 * been put to sleep. */
bool halt_is_over(struct Guest *g);

/* Take the guest's state that the VMCS does not hold off this CPU, and give the host its own. */
void vcpu_leave(struct Guest *g);
/* The debug registers of the guest, or of its debugger, to the CPU; the guest's from there. */
void load_debug_registers(const struct Guest *g);
void save_debug_registers(struct Guest *g);

/* ---- trace.c ---- */
/* Note what is known of the exit that has just happened, and, when its handler has returned
 * `again`, what became of it: the two together add an entry to the trace. Nothing if the guest is
 * not traced. */
void trace_exit(struct Guest *g, uint32_t reason);
void trace_action(struct Guest *g, bool again);
void trace_free(struct Guest *g);

/* ---- backtrace.c ---- */
/* If the guest, whose VMCS is current, cannot go on after what it has just done, remember its call
 * chain. */
void chain_at_end(struct Guest *g);

/* ---- exit.c and the families of handlers ---- */
/* Handle the exit that has just happened. true: enter the guest again; false: ask the scheduler. */
bool vmexit(struct Guest *g);
/* An intercepted exception; info is the VM-exit interruption information. */
bool handle_exception(struct Guest *g, uint32_t info);
/* Pass it on to the guest, if it is not the host's after all. */
void pass_exception(struct Guest *g, uint32_t info);
/* Give the guest a debug exception with these causes, as DR6 shows them. */
void inject_debug_trap(struct Guest *g, uint64_t causes);
/* Exceptions that exit, but for those that a debugger wants; one bit a vector. */
uint32_t guest_exceptions(const struct Guest *g);
bool handle_cpuid(struct Guest *g);
bool handle_vmcall(struct Guest *g);
bool handle_craccess(struct Guest *g);
bool handle_movdr(struct Guest *g);
/* From now on the guest's debug registers are switched, and its accesses do not exit. */
void use_debug_registers(struct Guest *g);
/* exit_cr.c: general register n as instructions number them. */
uint64_t gpr_read(struct Guest *g, int n);
void gpr_write(struct Guest *g, int n, uint64_t v);
bool handle_ioinstr(struct Guest *g);
/* exit_string_io.c: INS and OUTS, one element an exit, and the monitor's answer to it. */
bool handle_string_io(struct Guest *g);
void answer_string_io(struct Guest *g, uint64_t value);
bool handle_rdmsr(struct Guest *g);
bool handle_wrmsr(struct Guest *g);
bool handle_eptviolation(struct Guest *g);
bool handle_eptmisconfig(struct Guest *g);

/* exit_cpuid.c: fill the table of leaves from this CPU's. */
void cpuid_init(void);
/* exit_msr.c: allow in the bitmap what the table lets through. */
void msr_bitmap_init(uint8_t *bitmap);
/* Which MSRs the MSR areas switch; 0 ends the list. */
extern const uint32_t switched_msrs[];
#define SWITCHED_KERNEL_GS_BASE 0 /* its place there */
/* CR4 bits that a guest may set. */
uint64_t cr4_allowed(void);
#define CR0_GUEST_OWNED (CR0_PE | CR0_MP | CR0_EM | CR0_TS | CR0_WP | CR0_AM | CR0_PG)

/* asm_vmrun.S: enter the guest with the general registers in tf, where vmexit finds those it had at
 * its exit, until vmexit returns false. *host_rsp caches HOST_RSP. Returns an enum VmxResult:
 * VMX_OK after an exit, else an entry has failed. */
int asm_vmrun(struct Trapframe *tf, struct Guest *g, bool launched, uint64_t *host_rsp);
/* HOST_RIP; not for calling. */
extern char asm_vmexit_entry[];

/* Ask for ATTN_* work before the next entry. Another CPU than the guest's interrupts that one
 * afterwards, so it does not matter if its prepare_at is lost. */
static inline void guest_attn(struct Guest *g, uint32_t bits)
{
    __atomic_or_fetch(&g->attn, bits, __ATOMIC_RELAXED);
    g->prepare_at = 0;
}

/* The guest's or the host's deadlines may have changed: look at them before the next entry. */
static inline void look_around_soon(struct Guest *g)
{
    g->look_at = g->prepare_at = 0;
}

/* Start the clock of GuestStats.vmm_ticks. Half of the TSC is enough: nothing keeps the VMM for the
 * second and more in which that wraps. */
static inline void start_vmm_clock(struct Guest *g)
{
    uint32_t low;
    asm volatile("rdtsc" : "=a"(low) : : "edx");
    g->clock_start = low;
}

/* Count the exit that has just happened, of a reason below GUEST_NREASONS. */
static inline void count_exit(struct Guest *g, uint64_t reason)
{
    start_vmm_clock(g);
    g->clock_reason = reason;
    g->stats.reasons[reason]++;
}

/* ---- For system calls ---- */
/* Is e the guest of this id? Its lock (one of the two) is held. The id first: with just env_mem
 * held, a slot of another id may be on its way to a new owner. */
static inline bool is_guest_env(const struct Env *e, envid_t id)
{
    return READ_ONCE(e->env_id) == id && e->env_guest != NULL &&
           READ_ONCE(e->env_status) != ENV_DYING;
}

/* The guest of this id, whoever has made it, or NULL. It cannot go away until guest_close: its
 * slot's lock is held, and an env gives up env_guest under that lock. */
static inline struct Guest *guest_find(envid_t id)
{
    struct Env *e = env_slot(id);
    spin_lock(env_mem(e));
    if (is_guest_env(e, id))
        return e->env_guest;
    spin_unlock(env_mem(e));
    return NULL;
}

/* The same of a guest that the caller has made. */
static inline struct Guest *guest_open(envid_t id)
{
    struct Env *e = env_slot(id);
    spin_lock(env_mem(e));
    if (is_guest_env(e, id) && e->env_parent_id == curenv->env_id)
        return e->env_guest;
    spin_unlock(env_mem(e));
    return NULL;
}

static inline void guest_close(struct Guest *g)
{
    spin_unlock(env_mem(g->env));
}

/* Charge the ticks since the clock's start to the last exit. */
static inline void charge_vmm_ticks(struct Guest *g, uint64_t now)
{
    g->stats.vmm_ticks[g->clock_reason] += (uint32_t)now - g->clock_start;
}

/* All that had to be done before this entry is done. */
static inline bool entry_is_prepared(struct Guest *g)
{
    g->prepare_at = g->look_at;
    charge_vmm_ticks(g, read_tsc());
    return true;
}

/* How a successful RDMSR of this value ends. */
static inline bool end_rdmsr(struct Guest *g, uint64_t v)
{
    g->env->env_tf.tf_rax = (uint32_t)v;
    g->env->env_tf.tf_rdx = v >> 32;
    return skip(g);
}

/* Is the guest in 64-bit mode (not compatibility mode)? */
static inline bool guest_in_64bit(void)
{
    return (vmread(VMCS_GUEST_CS_AR) & AR_L) && (vmread(VMCS_GUEST_EFER) & EFER_LMA);
}

#endif
