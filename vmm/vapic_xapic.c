/*
 * The registers in xAPIC mode: 32 bits each, at the start of 16 bytes of the APIC's page (SDM
 * "Local APIC Register Address Map"). By the manual each access is a load or store of such 32 bits,
 * and all others are undefined. Here the rest of the page reads as zeroes, a narrow or wide load
 * gets the bytes that are there, and a store of another size or to another place does nothing.
 */
#include <vmm/vapic.h>
#include <vmm/vapic_regs.h>

#define REG_STRIDE 16
#define REG_BYTES  4
#define ID_SHIFT   24
#define DEST_MASK  0xff000000u /* of ID, LDR and the upper half of ICR */
#define DFR_ONES   0x0fffffffu
#define HIGH_SHIFT 32
#define LOW_HALF   0xffffffffull

/* No register is there. What only older CPUs have is no error (SDM "Error Handling"). */
static void note_illegal(struct Vcpu *v, uint32_t reg)
{
    if (reg != XAPIC_ARBITRATION && reg != XAPIC_REMOTE_READ)
        vapic_report_error(v, ESR_REGISTER);
}

static uint32_t read_register(struct Vcpu *v, uint32_t reg)
{
    const struct Vapic *a = &v->vapic;
    switch (reg) {
    case X2_ID:
        return a->id << ID_SHIFT;
    case X2_LDR:
        return a->ldr;
    case XAPIC_DFR:
        return a->dfr;
    case XAPIC_ICR_HIGH:
        return a->icr >> HIGH_SHIFT;
    case X2_EOI: /* write-only */
        return 0;
    }
    struct MsrValue r = vapic_read(v, MSR_X2APIC + reg);
    if (r.verdict == DO_NEXT)
        return r.value;
    note_illegal(v, reg);
    return 0;
}

/* Is this register, which cannot be written, there? */
static bool is_read_only(uint32_t reg)
{
    return reg == X2_ID || reg == X2_VERSION || reg == X2_PPR || reg == X2_CURRENT ||
           (reg >= X2_ISR && reg < X2_ESR);
}

static enum Verdict write_register(struct Vcpu *v, uint32_t reg, uint32_t value)
{
    struct Vapic *a = &v->vapic;
    switch (reg) {
    case X2_EOI:
        vapic_end_of_interrupt(v);
        return DO_NEXT;
    case X2_LDR:
        a->ldr = value & DEST_MASK;
        return DO_NEXT;
    case XAPIC_DFR:
        a->dfr = value | DFR_ONES;
        return DO_NEXT;
    case XAPIC_ICR_HIGH:
        a->icr = (a->icr & LOW_HALF) | (uint64_t)(value & DEST_MASK) << HIGH_SHIFT;
        return DO_NEXT;
    case X2_ICR:
        return vapic_send_ipi(v, ((a->icr & ~LOW_HALF) | value) & ICR_VALID);
    }
    if (is_read_only(reg))
        return DO_NEXT;
    enum Verdict verdict = vapic_write_masked(v, reg, value);
    if (verdict != DO_GP)
        return verdict;
    note_illegal(v, reg);
    return DO_NEXT;
}

uint64_t vapic_load(struct Vcpu *v, uint32_t offset, unsigned size)
{
    uint32_t reg = offset / REG_STRIDE, at = offset % REG_STRIDE;
    if (__builtin_expect(at == 0 && size == REG_BYTES, 1))
        return read_register(v, reg);
    if (at >= REG_BYTES)
        return 0;
    uint64_t value = read_register(v, reg) >> 8 * at;
    return size < REG_BYTES ? value & ((1u << 8 * size) - 1) : value;
}

enum Verdict vapic_store(struct Vcpu *v, uint32_t offset, unsigned size, uint64_t value)
{
    bool plain = offset % REG_STRIDE == 0 && size == REG_BYTES;
    return plain ? write_register(v, offset / REG_STRIDE, value) : DO_NEXT;
}
