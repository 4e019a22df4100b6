/*
 * MOVs to and from the local APIC's page. The instruction is read anew at each access, since a
 * guest may change its code, and its length comes from its bytes. All other instructions go to the
 * monitor, like those on its devices.
 */
#include <vmm/apic_insn.h>
#include <vmm/apic_mmio.h>
#include <vmm/gwalk.h>
#include <vmm/kill.h>
#include <vmm/stop.h>
#include <vmm/vapic.h>

#define FIRST_REGISTER 0x10 /* below, an access may have begun in the page before */

/* What no CPU can make sense of. false: it is none of that. */
static bool is_hopeless(struct Vcpu *v, const struct ApicAccess *a)
{
    const char *what = a->walks      ? "its page tables are"
                       : a->delivers ? "the delivery of an exception or interrupt needs what is"
                       : a->access == GUEST_FETCH ? "it executes what is"
                                                  : NULL;
    if (!what)
        return false;
    guest_kill(v, "%s in the page of its local APIC, at gpa 0x%lx", what, a->gpa);
    return true;
}

static uint64_t stored(const struct Vcpu *v, const struct ApicMov *mov)
{
    if (mov->immediate)
        return mov->value;
    uint64_t value = vcpu_whole_gpr(v, mov->gpr);
    return mov->high ? value >> 8 : value;
}

/* A load replaces as much of its register as an operand of that size does. */
static void load(struct Vcpu *v, const struct ApicMov *mov, uint64_t value)
{
    if (mov->size < 4) {
        unsigned shift = mov->high ? 8 : 0;
        uint64_t mask = ((1ul << 8 * mov->size) - 1) << shift;
        value = (vcpu_whole_gpr(v, mov->gpr) & ~mask) | (value << shift & mask);
    }
    vcpu_set_gpr(v, mov->gpr, value);
}

static bool decode(struct Vcpu *v, const struct ApicAccess *a, struct ApicMov *mov)
{
    uint8_t bytes[APIC_INSN_BUFFER];
    uint32_t n = guest_fetch_code(v, &a->mode, a->va, a->wide, bytes, APIC_INSN_MAX);
    if (!apic_mov_decode(mov, bytes, n, a->bits))
        return false;
    uint32_t offset = PGOFF(a->gpa);
    return mov->store == (a->access == GUEST_WRITE) && offset >= FIRST_REGISTER &&
           offset + mov->size <= PGSIZE;
}

enum Verdict apic_access(struct Vcpu *v, const struct ApicAccess *a, uint32_t *length)
{
    struct ApicMov mov;
    if (__builtin_expect(a->walks | a->delivers | (a->access == GUEST_FETCH), 0) &&
        is_hopeless(v, a))
        return DO_LEAVE;
    if (!decode(v, a, &mov)) {
        guest_stop_mmio(v, a->gpa, a->access);
        return DO_LEAVE;
    }
    *length = mov.length;
    uint64_t value = mov.store ? stored(v, &mov) : 0;
    enum Verdict verdict = vapic_access_page(v, PGOFF(a->gpa), mov.size, mov.store, &value);
    if (!mov.store)
        load(v, &mov, value);
    return verdict;
}
