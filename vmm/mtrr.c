/*
 * MTRRs (SDM "Memory Type Range Registers (MTRRs)"): one table of where they are.
 */
#include <inc/vmm.h>
#include <vmm/mtrr.h>

#define MSR_MTRRCAP      0xfe
#define MSR_MTRR_DEFTYPE 0x2ff
#define CAP_FIXED        (1 << 8)
#define CAP_WC           (1 << 10)

#define DEFTYPE_FIXED 0x400ul
#define DEFTYPE_ON    0x800ul
#define MASK_VALID    0x800ul
#define TYPE          0xfful
#define UNCACHEABLE   0ul
#define WRITE_BACK    6ul
#define ALL_RANGES    0x0101010101010101ul /* of a fixed one */
#define FIXED_VGA     2                    /* 0xa0000 to 0xbffff */

static const struct {
    uint32_t first, count;
    uint16_t at; /* offset in struct Mtrrs */
} ranges[] = {
    { 0x200, 2 * MTRR_VARIABLE, offsetof(struct Mtrrs, variable) },
    { 0x250, 1, offsetof(struct Mtrrs, fixed[0]) }, /* 64 KiB each */
    { 0x258, 2, offsetof(struct Mtrrs, fixed[1]) }, /* 16 KiB */
    { 0x268, 8, offsetof(struct Mtrrs, fixed[3]) }, /* 4 KiB */
    { MSR_MTRR_DEFTYPE, 1, offsetof(struct Mtrrs, def_type) },
};

static uint64_t physical(uint32_t phys_bits)
{
    return (1ul << phys_bits) - 1;
}

void mtrr_init(struct Mtrrs *m, uint32_t phys_bits)
{
    for (size_t i = 0; i < MTRR_FIXED; i++)
        m->fixed[i] = ALL_RANGES * (i == FIXED_VGA ? UNCACHEABLE : WRITE_BACK);
    m->variable[0] = GUEST_HOLE_START | UNCACHEABLE;
    m->variable[1] = (physical(phys_bits) & ~(GUEST_HOLE_END - GUEST_HOLE_START - 1)) | MASK_VALID;
    m->def_type = DEFTYPE_ON | DEFTYPE_FIXED | WRITE_BACK;
}

/* NULL: no MTRR that can be written. */
static uint64_t *find(const struct Mtrrs *m, uint32_t msr)
{
    for (size_t i = 0; i < ARRAY_SIZE(ranges); i++)
        if (msr - ranges[i].first < ranges[i].count)
            return (uint64_t *)((char *)m + ranges[i].at) + (msr - ranges[i].first);
    return NULL;
}

struct MsrValue mtrr_read(const struct Mtrrs *m, uint32_t msr)
{
    const uint64_t *p = find(m, msr);
    if (msr == MSR_MTRRCAP)
        return (struct MsrValue){ .value = MTRR_VARIABLE | CAP_FIXED | CAP_WC };
    if (!p)
        return (struct MsrValue){ .verdict = DO_GP };
    return (struct MsrValue){ .value = *p };
}

/* Uncacheable, write-combining, write-through, write-protected, write-back. */
static bool is_type(uint8_t type)
{
    return type <= 6 && type != 2 && type != 3;
}

static bool are_types(uint64_t value)
{
    for (int i = 0; i < 8; i++)
        if (!is_type(value >> 8 * i))
            return false;
    return true;
}

/* May the MTRR at p have this value? */
static bool is_valid(const struct Mtrrs *m, uint32_t phys_bits, const uint64_t *p, uint64_t value)
{
    if (p >= m->fixed && p < m->fixed + MTRR_FIXED)
        return are_types(value);
    if (p == &m->def_type)
        return is_type(value) && !(value & ~(TYPE | DEFTYPE_FIXED | DEFTYPE_ON));
    bool is_mask = (p - m->variable) % 2;
    uint64_t address = physical(phys_bits) & ~0xffful;
    return is_mask ? !(value & ~(address | MASK_VALID))
                   : is_type(value) && !(value & ~(address | TYPE));
}

enum Verdict mtrr_write(struct Mtrrs *m, uint32_t phys_bits, uint32_t msr, uint64_t value)
{
    uint64_t *p = find(m, msr);
    if (!p || !is_valid(m, phys_bits, p, value))
        return DO_GP;
    *p = value;
    return DO_NEXT;
}
