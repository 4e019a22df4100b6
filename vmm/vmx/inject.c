/*
 * Events that enter a guest: exceptions, interrupts of its virtual APIC, and those whose delivery
 * an exit interrupted (SDM "Event Injection", "Information for VM Exits That Occur During Event
 * Delivery").
 */
#include <vmm/exception.h>
#include <inc/trap.h>
#include <kern/pmap.h>
#include <vmm/check.h>
#include <vmm/debug/debug.h>
#include <vmm/stop.h>
#include <vmm/vmx/inject.h>
#include <vmm/vmx/run.h>
#include <vmm/vapic.h>
#include <vmm/vmx/state.h>

static inline void inject_exception(struct Vcpu *v, int vector, uint32_t error)
{
    event_exception(v, vector, error, vmread_known(VMCS_GUEST_CR0) & CR0_PE);
}

void set_resume_flag(void)
{
    vmwrite_known(VMCS_GUEST_RFLAGS, vmread_known(VMCS_GUEST_RFLAGS) | FL_RF);
}

/* An entry pushes RFLAGS as they are in the VMCS. There, an exit by an instruction has cleared RF;
 * one by a fault has set it by the manual, but not in Bochs (SDM "Details of Vectored-Event
 * Injection", "Saving RIP, RSP, RFLAGS, and SSP"). */
void inject_fault(struct Vcpu *v, int vector, uint32_t error)
{
    set_resume_flag();
    inject_exception(v, vector, error);
}

bool vmx_ud(struct Vcpu *v)
{
    inject_fault(v, T_ILLOP, 0);
    return vmx_resume(v);
}

bool vmx_gp(struct Vcpu *v)
{
    inject_fault(v, T_GPFLT, 0);
    return vmx_resume(v);
}

static void change_blocking(uint32_t clear, uint32_t set)
{
    uint64_t block = vmread(VMCS_GUEST_INTERRUPTIBILITY);
    vmwrite(VMCS_GUEST_INTERRUPTIBILITY, (block & ~(uint64_t)clear) | set);
}

void block_nmis_again(struct Vcpu *v)
{
    if (!(v->event.info & EVENT_VALID)) /* else there was no IRET, and the bit says nothing */
        change_blocking(0, BLOCK_NMI);
}

void keep_event(struct Vcpu *v, uint32_t info)
{
    if (!(vmread(VMCS_GUEST_CR0) & CR0_PE)) /* a CPU may say that there was one in real mode */
        info &= ~EVENT_ERROR_VALID;
    v->event = (struct Event){ .info = info & INTR_REINJECT_MASK };
    if (info & EVENT_ERROR_VALID)
        v->event.error = vmread(VMCS_IDT_VECTORING_ERROR);
    uint32_t type = info & EVENT_TYPE;
    if (type == EVENT_SOFT_INT || type == EVENT_PRIV_EXC || type == EVENT_SOFT_EXC)
        v->event.length = vmread(VMCS_EXIT_INSTR_LENGTH);
    if (type == EVENT_NMI) /* its delivery starts over, so NMIs are not blocked yet */
        change_blocking(BLOCK_NMI, 0);
    vcpu_attn(v, ATTN_EVENT);
}

static void set_window(struct Vcpu *v, bool on)
{
    if (vmx(v)->window == on)
        return;
    vmx(v)->window = on;
    vmx(v)->proc = on ? vmx(v)->proc | PROC_INTR_WINDOW : vmx(v)->proc & ~PROC_INTR_WINDOW;
    vmwrite(VMCS_PROC_CONTROLS, vmx(v)->proc);
}

/* An NMI waits: it becomes the event to inject, unless there is one or the guest blocks NMIs. Then
 * ask for an exit at the next instruction boundary that is open for them. Blocking by STI does not
 * hold an NMI, but an entry with both may fail (SDM "Checks on Guest Non-Register State"). In a
 * debugger's step it waits, and step_end asks again. */
static void take_nmi(struct Vcpu *v)
{
    bool steps = debug_steps(v);
    uint32_t block = vmread(VMCS_GUEST_INTERRUPTIBILITY);
    if (v->nmi && !steps && !(v->event.info & EVENT_VALID) &&
        !(block & (BLOCK_NMI | BLOCK_MOV_SS))) {
        change_blocking(BLOCK_STI, 0);
        v->event = (struct Event){ .info = EVENT_VALID | EVENT_NMI | T_NMI };
        v->nmi = false;
    }
    vmx(v)->proc =
        v->nmi && !steps ? vmx(v)->proc | PROC_NMI_WINDOW : vmx(v)->proc & ~PROC_NMI_WINDOW;
    vmwrite(VMCS_PROC_CONTROLS, vmx(v)->proc);
}

/* Hand v->event to the CPU. */
static void enter_with_event(struct Vcpu *v)
{
    struct Event *ev = &v->event;
    if (ev->info & EVENT_ERROR_VALID)
        vmwrite_known(VMCS_ENTRY_INTR_ERROR, ev->error);
    if (ev->length != 0)
        vmwrite_known(VMCS_ENTRY_INSTR_LENGTH, ev->length);
    vmwrite_known(VMCS_ENTRY_INTR_INFO, ev->info);
    ev->info = 0;
    v->halted = false;
}

/* The virtual APIC's state, or the guest's readiness for it, has changed. One event can enter at a
 * time, and `busy` says that there is one. What has to wait asks for an exit at the next
 * instruction boundary that is open for interrupts. */
static inline void take_interrupt(struct Vcpu *v, bool busy)
{
    int vector = debug_steps(v) ? -1 : vapic_deliverable(&v->vapic);
    if (vector >= 0 && !busy && vmx_interrupts_open(v)) {
        vapic_ack(&v->vapic, vector);
        vmwrite_known(VMCS_ENTRY_INTR_INFO, EVENT_VALID | EVENT_EXTINT | vector);
        v->halted = false;
        vector = vapic_quiet(&v->vapic) ? -1 : vapic_deliverable(&v->vapic);
    }
    set_window(v, vector >= 0);
}

static void flush_translations(struct Vcpu *v, uint32_t attn)
{
    if (attn & ATTN_STAGE2_FLUSH) {
        bool single = vmx_caps.ept_vpid & EPT_CAP_INVEPT_SINGLE;
        invept(single ? INVEPT_SINGLE : INVEPT_ALL, vmx(v)->eptp);
    } else if (vmx_caps.proc2 & PROC2_VPID) {
        invvpid(INVVPID_SINGLE, ENVX(v->env->env_id) + 1);
    }
}

/* Let in what waits. It is on the way of each event, so it costs no call. */
static inline __attribute__((always_inline)) void enter_events(struct Vcpu *v, uint32_t attn)
{
    bool busy = v->event.info & EVENT_VALID;
    if (busy)
        enter_with_event(v);
    if (attn & ATTN_IRQ)
        take_interrupt(v, busy);
}

/* What is asked for seldom. false: leave the guest. */
static bool __attribute__((noinline)) attend_rare(struct Vcpu *v, uint32_t *attn)
{
    if (*attn & ATTN_SKIP)
        skip_instruction();
    if (*attn & ATTN_ANSWER)
        guest_take_answer(v);
    if (*attn & ATTN_DEBUG) {
        bool enter = debug_attend(v);
        *attn = (*attn & ~(ATTN_SKIP | ATTN_ANSWER | ATTN_DEBUG)) |
                __atomic_fetch_and(&v->attn, ATTN_DEBUG, __ATOMIC_RELAXED);
        if (!enter) {
            vcpu_attn(v, *attn);
            return false;
        }
    }
    if (*attn & ATTN_NMI)
        take_nmi(v);
    if (*attn & ATTN_CHECK) {
        enter_events(v, *attn);
        *attn &= ATTN_FLUSH;
        check_entry(v); /* after all that changes the VMCS */
    }
    /* Comes last: what is above may have waited for a lock, and meanwhile told another CPU, which
     * has changed the tables, that this one uses no old translation any more. */
    *attn |= __atomic_fetch_and(&v->attn, ~ATTN_FLUSH, __ATOMIC_RELAXED) & ATTN_FLUSH;
    if (*attn & ATTN_FLUSH)
        flush_translations(v, *attn);
    return true;
}

bool vmx_attend(struct Vcpu *v)
{
    uint32_t attn = __atomic_exchange_n(&v->attn, 0, __ATOMIC_RELAXED);
    if ((attn & ~(ATTN_EVENT | ATTN_IRQ)) && !attend_rare(v, &attn))
        return false;
    enter_events(v, attn);
    return !v->doomed && entry_is_prepared(v);
}
