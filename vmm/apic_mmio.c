/*
 * MOVs to and from the local APIC's page. A guest may change its code and its tables at any time,
 * so both are read at each access; if they are what they were at an earlier one, so is the
 * instruction (vmm/code.h). Its length comes from its bytes. All other instructions go to the
 * monitor, like those on its devices.
 */
#include <inc/string.h>
#include <vmm/apic_insn.h>
#include <vmm/apic_mmio.h>
#include <vmm/backend.h>
#include <vmm/gwalk.h>
#include <vmm/kill.h>
#include <vmm/stop.h>
#include <vmm/vapic.h>

#define FIRST_REGISTER 0x10 /* below, an access may have begun in the page before */

/* What no CPU can make sense of ends the guest. */
static uint32_t __attribute__((noinline, cold)) give_up(struct Vcpu *v, gpa_t gpa, uint32_t access)
{
    const char *what = access & APIC_WALKS ? "its page tables are"
                       : access & APIC_DELIVERS
                           ? "the delivery of an exception or interrupt needs what is"
                           : "it executes what is";
    guest_kill(v, "%s in the page of its local APIC, at gpa 0x%lx", what, gpa);
    return 0;
}

static inline uint64_t stored(const struct Vcpu *v, const struct ApicMov *mov)
{
    if (mov->immediate)
        return mov->value;
    uint64_t value = vcpu_whole_gpr(v, mov->gpr);
    return mov->high ? value >> 8 : value;
}

/* A load replaces as much of its register as an operand of that size does. */
static inline void load(struct Vcpu *v, const struct ApicMov *mov, uint64_t value)
{
    if (__builtin_expect(mov->size < 4, 0)) {
        unsigned shift = mov->high ? 8 : 0;
        uint64_t mask = ((1ul << 8 * mov->size) - 1) << shift;
        value = (vcpu_whole_gpr(v, mov->gpr) & ~mask) | (value << shift & mask);
    }
    vcpu_set_gpr(v, mov->gpr, value);
}

/* Read and decode the instruction, for this time and the next ones. */
static bool __attribute__((noinline))
decode(struct Vcpu *v, struct ApicSite *site, uint64_t va, uint64_t cr3, uint32_t code)
{
    uint8_t bytes[APIC_INSN_BUFFER] = { 0 };
    struct PagingMode m;
    uint32_t n = APIC_INSN_MAX;
    site->bits = code & CODE_BITS;
    site->place.valid = false;
    if ((code & CODE_LEVEL4) && guest_find_code(v, va, cr3, &site->place)) {
        memcpy(bytes, site->place.code, n);
    } else {
        backend->paging_mode(v, &m);
        n = guest_fetch_code(v, &m, va, site->bits == 64, bytes, n);
    }
    if (apic_mov_decode(&site->mov, bytes, n, site->bits))
        return true;
    site->place.valid = false; /* never set here: another CPU may just have taken it back */
    return false;
}

/* The instruction at va; NULL: none that is carried out here. */
static inline const struct ApicMov *find_mov(struct Vcpu *v, uint64_t va, uint64_t cr3,
                                             uint32_t code)
{
    struct ApicSite *site = &v->apic_sites[va / CODE_BYTES % NAPIC_SITES];
    spin_lock(&v->vm->mem_lock);
    bool known = site->bits == (code & CODE_BITS) && code_is_at(&site->place, va, cr3);
    spin_unlock(&v->vm->mem_lock);
    return __builtin_expect(known, 1) || decode(v, site, va, cr3, code) ? &site->mov : NULL;
}

/* Can the fault at this offset be by it? */
static inline bool fits(const struct ApicMov *mov, uint32_t offset, uint32_t access)
{
    return access == (mov->store ? GUEST_WRITE : GUEST_READ) && offset >= FIRST_REGISTER &&
           offset + mov->size <= PGSIZE;
}

uint32_t apic_access(struct Vcpu *v, gpa_t gpa, uint32_t access, uint64_t va, uint64_t cr3,
                     uint32_t code)
{
    if (__builtin_expect(access & (APIC_WALKS | APIC_DELIVERS | GUEST_FETCH), 0))
        return give_up(v, gpa, access);
    const struct ApicMov *mov = find_mov(v, va, cr3, code);
    uint32_t offset = PGOFF(gpa);
    if (!mov || !fits(mov, offset, access)) {
        guest_stop_mmio(v, gpa, access);
        return 0;
    }
    if (!mov->store) {
        load(v, mov, vapic_load(v, offset, mov->size));
        return mov->length;
    }
    return vapic_store(v, offset, mov->size, stored(v, mov)) == DO_NEXT ? mov->length : 0;
}
