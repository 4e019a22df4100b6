/*
 * Events that enter a guest: exceptions, interrupts of its virtual APIC, and those whose delivery
 * an exit interrupted (SDM "Event Injection", "Information for VM Exits That Occur During Event
 * Delivery").
 */
#include <vmm/vmx/check/check.h>
#include <vmm/debug/debug.h>
#include <vmm/internal.h>

/* Exceptions by class for the double-fault rules, and those that push an error code; one bit a
 * vector. */
#define CONTRIBUTORY (1u << T_DIVIDE | 1u << T_TSS | 1u << T_SEGNP | 1u << T_STACK | 1u << T_GPFLT)
#define HAS_ERROR                                                                   \
    (1u << T_DBLFLT | 1u << T_TSS | 1u << T_SEGNP | 1u << T_STACK | 1u << T_GPFLT | \
     1u << T_PGFLT | 1u << T_ALIGN)

static bool is_one_of(uint32_t set, int vector)
{
    return vector < 32 && (set >> vector & 1);
}

/* In real mode no exception has an error code, and an entry that wants one fails. */
static void set_exception(struct Guest *g, int vector, uint32_t error)
{
    bool has_error = is_one_of(HAS_ERROR, vector) && (vmread_known(VMCS_GUEST_CR0) & CR0_PE);
    g->event = (struct InjectEvent){
        .info = INTR_VALID | INTR_TYPE_HARDEXC | vector | (has_error ? INTR_ERROR_VALID : 0),
        .error = error,
    };
    guest_attn(g, ATTN_EVENT);
}

/* The exception came while `old` was delivered. */
static void __attribute__((noinline))
merge_exception(struct Guest *g, uint32_t old, int vector, uint32_t error)
{
    int first = old & INTR_VECTOR;
    if ((old & INTR_TYPE) == INTR_TYPE_HARDEXC) {
        bool second_bad = is_one_of(CONTRIBUTORY, vector);
        bool second_pf = vector == T_PGFLT;
        if (first == T_DBLFLT && (second_bad || second_pf)) {
            guest_kill(g, "triple fault at rip 0x%lx: exception %d while delivering a double fault",
                       vmread(VMCS_GUEST_RIP), vector);
            return;
        }
        if ((is_one_of(CONTRIBUTORY, first) && second_bad) ||
            (first == T_PGFLT && (second_bad || second_pf))) {
            set_exception(g, T_DBLFLT, 0);
            return;
        }
    }
    /* An interrupt waits in the virtual APIC until this exception has been handled, and an NMI
     * until its handler is entered. What an instruction raised comes again when it is executed
     * again. */
    if ((old & INTR_TYPE) == INTR_TYPE_EXTINT)
        vapic_unack(g, first);
    if ((old & INTR_TYPE) == INTR_TYPE_NMI)
        inject_nmi(g);
    set_exception(g, vector, error);
}

void inject_exception(struct Guest *g, int vector, uint32_t error)
{
    uint32_t old = g->event.info;
    if (old & INTR_VALID)
        merge_exception(g, old, vector, error);
    else
        set_exception(g, vector, error);
}

void set_resume_flag(void)
{
    vmwrite_known(VMCS_GUEST_RFLAGS, vmread_known(VMCS_GUEST_RFLAGS) | FL_RF);
}

/* An entry pushes RFLAGS as they are in the VMCS. There, an exit by an instruction has cleared RF;
 * one by a fault has set it by the manual, but not in Bochs (SDM "Details of Vectored-Event
 * Injection", "Saving RIP, RSP, RFLAGS, and SSP"). */
void inject_fault(struct Guest *g, int vector, uint32_t error)
{
    set_resume_flag();
    inject_exception(g, vector, error);
}

bool inject_ud(struct Guest *g)
{
    inject_fault(g, T_ILLOP, 0);
    return resume(g);
}

bool inject_gp(struct Guest *g)
{
    inject_fault(g, T_GPFLT, 0);
    return resume(g);
}

static void change_blocking(uint32_t clear, uint32_t set)
{
    uint64_t block = vmread(VMCS_GUEST_INTERRUPTIBILITY);
    vmwrite(VMCS_GUEST_INTERRUPTIBILITY, (block & ~(uint64_t)clear) | set);
}

void block_nmis_again(struct Guest *g)
{
    if (!(g->event.info & INTR_VALID)) /* else there was no IRET, and the bit says nothing */
        change_blocking(0, BLOCK_NMI);
}

void inject_nmi(struct Guest *g)
{
    g->nmi = true;
    guest_attn(g, ATTN_NMI);
}

void keep_event(struct Guest *g, uint32_t info)
{
    if (!(vmread(VMCS_GUEST_CR0) & CR0_PE)) /* a CPU may say that there was one in real mode */
        info &= ~INTR_ERROR_VALID;
    g->event = (struct InjectEvent){ .info = info & INTR_REINJECT_MASK };
    if (info & INTR_ERROR_VALID)
        g->event.error = vmread(VMCS_IDT_VECTORING_ERROR);
    uint32_t type = info & INTR_TYPE;
    if (type == INTR_TYPE_SOFTINT || type == INTR_TYPE_PRIVEXC || type == INTR_TYPE_SOFTEXC)
        g->event.length = vmread(VMCS_EXIT_INSTR_LENGTH);
    if (type == INTR_TYPE_NMI) /* what began to be delivered blocks others; it begins anew */
        change_blocking(BLOCK_NMI, 0);
    guest_attn(g, ATTN_EVENT);
}

bool interrupts_open(void)
{
    return (vmread_known(VMCS_GUEST_RFLAGS) & FL_IF) &&
           !(vmread_known(VMCS_GUEST_INTERRUPTIBILITY) & BLOCK_INSTRUCTION);
}

static void set_window(struct Guest *g, bool on)
{
    if (g->window == on)
        return;
    g->window = on;
    g->proc = on ? g->proc | PROC_INTR_WINDOW : g->proc & ~PROC_INTR_WINDOW;
    vmwrite(VMCS_PROC_CONTROLS, g->proc);
}

/* An NMI waits: it becomes the event to inject, unless there is one or the guest blocks NMIs. Then
 * ask for an exit at the next instruction boundary that is open for them. Blocking by STI does not
 * hold an NMI, but an entry with both may fail (SDM "Checks on Guest Non-Register State"). In a
 * debugger's step it waits, and step_end asks again. */
static void take_nmi(struct Guest *g)
{
    bool steps = debug_steps(g);
    uint32_t block = vmread(VMCS_GUEST_INTERRUPTIBILITY);
    if (g->nmi && !steps && !(g->event.info & INTR_VALID) &&
        !(block & (BLOCK_NMI | BLOCK_MOV_SS))) {
        change_blocking(BLOCK_STI, 0);
        g->event = (struct InjectEvent){ .info = INTR_VALID | INTR_TYPE_NMI | T_NMI };
        g->nmi = false;
    }
    g->proc = g->nmi && !steps ? g->proc | PROC_NMI_WINDOW : g->proc & ~PROC_NMI_WINDOW;
    vmwrite(VMCS_PROC_CONTROLS, g->proc);
}

/* Hand g->event to the CPU. */
static void enter_with_event(struct Guest *g)
{
    struct InjectEvent *ev = &g->event;
    if (ev->info & INTR_ERROR_VALID)
        vmwrite_known(VMCS_ENTRY_INTR_ERROR, ev->error);
    if (ev->length != 0)
        vmwrite_known(VMCS_ENTRY_INSTR_LENGTH, ev->length);
    vmwrite_known(VMCS_ENTRY_INTR_INFO, ev->info);
    ev->info = 0;
    g->halted = false;
}

/* The virtual APIC's state, or the guest's readiness for it, has changed. One event can enter at a
 * time, and `busy` says that there is one. What has to wait asks for an exit at the next
 * instruction boundary that is open for interrupts. */
static inline void take_interrupt(struct Guest *g, bool busy)
{
    int vector = debug_steps(g) ? -1 : vapic_deliverable(&g->vapic);
    if (vector >= 0 && !busy && interrupts_open()) {
        vapic_ack(&g->vapic, vector);
        vmwrite_known(VMCS_ENTRY_INTR_INFO, INTR_VALID | INTR_TYPE_EXTINT | vector);
        g->halted = false;
        vector = vapic_quiet(&g->vapic) ? -1 : vapic_deliverable(&g->vapic);
    }
    set_window(g, vector >= 0);
}

static void flush(struct Guest *g, uint32_t attn)
{
    if (attn & ATTN_EPT_FLUSH) {
        bool single = vmx_caps.ept_vpid & EPT_CAP_INVEPT_SINGLE;
        invept(single ? INVEPT_SINGLE : INVEPT_ALL, g->eptp);
    } else if (vmx_caps.proc2 & PROC2_VPID) {
        invvpid(INVVPID_SINGLE, ENVX(g->env->env_id) + 1);
    }
}

/* Let in what waits. It is on the way of each event, so it costs no call. */
static inline __attribute__((always_inline)) void enter_events(struct Guest *g, uint32_t attn)
{
    bool busy = g->event.info & INTR_VALID;
    if (busy)
        enter_with_event(g);
    if (attn & ATTN_IRQ)
        take_interrupt(g, busy);
}

/* What is asked for seldom. false: leave the guest. */
static bool __attribute__((noinline)) attend_rare(struct Guest *g, uint32_t *attn)
{
    if (*attn & ATTN_SKIP)
        skip_instruction();
    if (*attn & ATTN_DEBUG) {
        bool enter = debug_attend(g);
        *attn = (*attn & ~(ATTN_SKIP | ATTN_DEBUG)) |
                __atomic_fetch_and(&g->attn, ATTN_DEBUG, __ATOMIC_RELAXED);
        if (!enter) {
            guest_attn(g, *attn);
            return false;
        }
    }
    if (*attn & ATTN_NMI)
        take_nmi(g);
    if (*attn & ATTN_CHECK) {
        enter_events(g, *attn);
        *attn &= ATTN_FLUSH;
        check_entry(g); /* behind all that changes the VMCS */
    }
    /* Comes last: what is above may have waited for a lock, and meanwhile told another CPU, which
     * has changed the tables, that this one uses no old translation any more. */
    *attn |= __atomic_fetch_and(&g->attn, ~ATTN_FLUSH, __ATOMIC_RELAXED) & ATTN_FLUSH;
    if (*attn & ATTN_FLUSH)
        flush(g, *attn);
    return true;
}

bool attend(struct Guest *g)
{
    uint32_t attn = __atomic_exchange_n(&g->attn, 0, __ATOMIC_RELAXED);
    if ((attn & ~(ATTN_EVENT | ATTN_IRQ)) && !attend_rare(g, &attn))
        return false;
    enter_events(g, attn);
    return !g->doomed && entry_is_prepared(g);
}
