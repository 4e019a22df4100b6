/*
 * Messages to local APICs: interrupts that CPUs send each other (SDM "Issuing Interprocessor
 * Interrupts"), and those of devices (SDM "Message Signalled Interrupts"). A guest has one CPU
 * today; whom a message names is decided for any number.
 */
#include <inc/error.h>
#include <inc/msi.h>
#include <vmm/kill.h>
#include <vmm/vapic.h>
#include <vmm/vapic_regs.h>

#define ICR_LOGICAL      (1u << 11)
#define ICR_ASSERT       (1u << 14)
#define ICR_LEVEL        (1u << 15)
#define ICR_SHORTHAND(v) (((v) >> 18) & 3)
#define XAPIC_DEST_SHIFT 56
#define DEST_ALL         0xffffffffu
#define XAPIC_DEST_ALL   0xffu
#define LDR_SHIFT        24
#define DFR_SHIFT        28
#define DFR_FLAT         0xfu
#define CLUSTER_ALL      0xfu

enum Shorthand {
    SHORT_NONE,
    SHORT_SELF,
    SHORT_ALL,
    SHORT_OTHERS
};

/* Delivery modes, as the ICR, the LVT and messages encode them. */
enum DeliveryMode {
    MODE_FIXED = 0,
    MODE_LOWEST = 1,
    MODE_SMI = 2,
    MODE_REMOTE_READ = 3,
    MODE_NMI = 4,
    MODE_INIT = 5,
    MODE_SIPI = 6,
    MODE_EXTINT = 7,
};
#define DELIVERY_MODE(v) ((enum DeliveryMode)((v) >> 8 & 7))

/* ---- Destinations ---- */

/* SDM "Logical Destination Mode": a mask of eight CPUs, or four bits each of a cluster and a mask.
 */
static bool is_in_xapic_set(const struct Vapic *a, uint32_t dest)
{
    uint32_t ldr = a->ldr >> LDR_SHIFT;
    if (a->dfr >> DFR_SHIFT == DFR_FLAT)
        return dest & ldr;
    return (dest >> 4 == CLUSTER_ALL || dest >> 4 == ldr >> 4) && (dest & ldr & 0xf);
}

bool vapic_is_addressed(const struct Vapic *a, uint32_t dest, bool logical)
{
    bool x2apic = a->nmsrs != 0;
    if (!(a->base & APIC_BASE_EN))
        return false;
    if (dest == (x2apic ? DEST_ALL : XAPIC_DEST_ALL))
        return true;
    if (!logical)
        return dest == a->id;
    if (!x2apic)
        return is_in_xapic_set(a, dest);
    uint32_t ldr = X2APIC_LDR(a->id);
    return dest >> 16 == ldr >> 16 && (dest & ldr & 0xffff);
}

/* Does the IPI that `from` sends go to `to`? */
static bool is_target(const struct Vapic *from, const struct Vapic *to, uint64_t icr)
{
    switch ((enum Shorthand)ICR_SHORTHAND(icr)) {
    case SHORT_SELF:
        return to == from;
    case SHORT_ALL:
        return true;
    case SHORT_OTHERS:
        return to != from;
    case SHORT_NONE:
        break;
    }
    uint32_t dest = from->nmsrs != 0 ? icr >> 32 : icr >> XAPIC_DEST_SHIFT;
    return vapic_is_addressed(to, dest, icr & ICR_LOGICAL);
}

/* ---- Interprocessor interrupts ---- */

/* Trigger mode of a vector that is accepted. The inline ways to raise one leave it alone, and do
 * not meet a vector that a level-triggered message uses. */
static void note_trigger(struct Vapic *a, uint32_t vector, bool level)
{
    uint64_t bit = 1ul << vector % 64, *tmr = &a->tmr[vector / 64];
    if (level)
        __atomic_or_fetch(tmr, bit, __ATOMIC_RELAXED);
    else if (*tmr & bit)
        __atomic_and_fetch(tmr, ~bit, __ATOMIC_RELAXED);
}

/* INIT resets a CPU. With a shorthand that includes the sender, and to lower the line of long ago,
 * it means nothing (SDM "Valid Combinations for the Pentium 4 and Intel Xeon Processors' Local
 * xAPIC Interrupt Command Register"). */
static enum Verdict accept_init(struct Vcpu *to, uint64_t icr)
{
    if (ICR_SHORTHAND(icr) == SHORT_SELF || ICR_SHORTHAND(icr) == SHORT_ALL ||
        (icr & (ICR_LEVEL | ICR_ASSERT)) == ICR_LEVEL)
        return DO_NEXT;
    guest_kill(to, "it has sent INIT to its own CPU, which resets that, and there is no firmware");
    return DO_LEAVE;
}

/* Start-up IPIs mean nothing to a CPU that runs; there is no system management mode to enter, and
 * no remote read. (The manual gives NMI no meaning with the shorthands that include the CPU itself;
 * they name it like its id.) */
static enum Verdict accept_ipi(struct Vcpu *to, uint64_t icr)
{
    switch (DELIVERY_MODE(icr)) {
    case MODE_FIXED:
    case MODE_LOWEST:
        note_trigger(&to->vapic, icr & LVT_VECTOR, false);
        vapic_raise(to, icr & LVT_VECTOR);
        break;
    case MODE_NMI:
        vcpu_nmi(to);
        break;
    case MODE_INIT:
        return accept_init(to, icr);
    case MODE_SMI:
    case MODE_REMOTE_READ:
    case MODE_SIPI:
    case MODE_EXTINT:
        break;
    }
    return DO_NEXT;
}

enum Verdict vapic_send_ipi(struct Vcpu *v, uint64_t icr)
{
    enum DeliveryMode mode = DELIVERY_MODE(icr);
    enum Verdict verdict = DO_NEXT;
    v->vapic.icr = icr;
    if ((mode == MODE_FIXED || mode == MODE_LOWEST) && (icr & LVT_VECTOR) < FIRST_VECTOR) {
        vapic_report_error(v, ESR_SEND_ILLEGAL);
        return DO_NEXT;
    }
    for (int i = 0; i < VM_NVCPUS; i++) {
        struct Vcpu *to = v->vm->vcpus[i];
        if (!to || !is_target(&v->vapic, &to->vapic, icr))
            continue;
        verdict = accept_ipi(to, icr);
        if (mode == MODE_LOWEST) /* one CPU, and any has the lowest priority of one */
            break;
    }
    return verdict;
}

/* ---- Messages of devices ---- */

/* Whether the redirection hint is set or not, the destination mode counts. 8 bits of all ones name
 * all CPUs in x2APIC mode, too. */
static bool is_msi_for(const struct Vapic *a, uint64_t address)
{
    uint32_t dest = address >> MSI_DEST_SHIFT & MSI_DEST_MASK;
    if (dest == MSI_DEST_MASK && a->nmsrs != 0)
        dest = DEST_ALL;
    return vapic_is_addressed(a, dest, address & MSI_LOGICAL);
}

int vapic_accept_msi(struct Vcpu *v, uint64_t address, uint32_t data)
{
    enum DeliveryMode mode = DELIVERY_MODE(data);
    uint32_t vector = data & MSI_VECTOR;
    bool level = data & MSI_LEVEL;
    if ((address & ~(uint64_t)MSI_ADDRESS_LOW) != MSI_ADDRESS)
        return -E_INVAL;
    if (mode != MODE_FIXED && mode != MODE_LOWEST && mode != MODE_NMI)
        return -E_INVAL;
    if (mode != MODE_NMI && vector < FIRST_VECTOR)
        return -E_INVAL;
    if (!is_msi_for(&v->vapic, address) || (level && !(data & MSI_ASSERT)))
        return 0;
    if (mode == MODE_NMI) {
        vcpu_nmi(v);
        return 1;
    }
    note_trigger(&v->vapic, vector, level);
    vapic_raise(v, vector);
    return 1;
}
