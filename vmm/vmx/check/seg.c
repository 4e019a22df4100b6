/*
 * The rules for the guest's segment registers (SDM "Checks on Guest Segment Registers"). A line of
 * the table names the registers it is for and the part of the register it is about.
 */
#include <vmm/vmx/check/check.h>

enum SegReg {
    ES,
    CS,
    SS,
    DS,
    FS,
    GS,
    LDTR,
    TR,
    NSEGREGS
};
#define R(reg)    (1u << (reg))
#define DATA_REGS (R(DS) | R(ES) | R(FS) | R(GS))
#define CODE_DATA (R(CS) | R(SS) | DATA_REGS)

struct SegRegister {
    uint64_t sel, limit, ar, base;
};

struct SegView {
    const struct CheckView *v;
    struct SegRegister regs[NSEGREGS];
    bool v86, unrestricted, ia32e;
};

/* Which registers of the rule's set are meant. */
enum Use {
    ANY_USE,
    USABLE, /* CS and TR are always in use: their unusable bit means nothing, or is against a rule
             */
};

/* In which mode of the guest. */
enum Mode {
    ANY_MODE,
    IN_V86,
    NOT_V86,
};

struct SegRule {
    uint32_t regs;
    enum VmcsField part; /* the field of ES */
    enum Use use;
    enum Mode mode;
    bool (*holds)(const struct SegView *s, enum SegReg reg, uint64_t arg);
    uint64_t arg;
    const char *words;
};

#define SEL   VMCS_GUEST_ES_SEL
#define LIMIT VMCS_GUEST_ES_LIMIT
#define AR    VMCS_GUEST_ES_AR
#define BASE  VMCS_GUEST_ES_BASE

#define SEL_RPL(sel) ((sel)&3)
#define SEL_TI       (1u << 2)
/* Types of segments: SDM "Code- and Data-Segment Types" */
#define TYPE_ACCESSED 1u
#define TYPE_READABLE 2u
#define TYPE_CODE     8u
#define T(type)       (1u << (type))

static bool sel_zero(const struct SegView *s, enum SegReg reg, uint64_t arg)
{
    return (s->regs[reg].sel & arg) == 0;
}

static bool rpl_as_cs(const struct SegView *s, enum SegReg reg, uint64_t arg)
{
    (void)arg;
    return s->unrestricted || SEL_RPL(s->regs[reg].sel) == SEL_RPL(s->regs[CS].sel);
}

static bool base_of_selector(const struct SegView *s, enum SegReg reg, uint64_t arg)
{
    (void)arg;
    return s->regs[reg].base == s->regs[reg].sel << 4;
}

static bool base_canonical(const struct SegView *s, enum SegReg reg, uint64_t arg)
{
    return check_canonical(s->v, s->regs[reg].base, arg);
}

static bool base_32_bits(const struct SegView *s, enum SegReg reg, uint64_t arg)
{
    (void)arg;
    return s->regs[reg].base >> 32 == 0;
}

static bool limit_is(const struct SegView *s, enum SegReg reg, uint64_t arg)
{
    return s->regs[reg].limit == arg;
}

static bool ar_is(const struct SegView *s, enum SegReg reg, uint64_t arg)
{
    return s->regs[reg].ar == arg;
}

static bool ar_zero(const struct SegView *s, enum SegReg reg, uint64_t arg)
{
    return (s->regs[reg].ar & arg) == 0;
}

static bool ar_one(const struct SegView *s, enum SegReg reg, uint64_t arg)
{
    return (s->regs[reg].ar & arg) == arg;
}

static bool type_in(const struct SegView *s, enum SegReg reg, uint64_t arg)
{
    return arg >> AR_TYPE(s->regs[reg].ar) & 1;
}

static bool code_type(const struct SegView *s, enum SegReg reg, uint64_t arg)
{
    return type_in(s, reg, s->unrestricted ? arg | T(3) : arg);
}

static bool readable(const struct SegView *s, enum SegReg reg, uint64_t arg)
{
    uint32_t type = AR_TYPE(s->regs[reg].ar);
    (void)arg;
    return !(type & TYPE_CODE) || (type & TYPE_READABLE);
}

static bool tr_type(const struct SegView *s, enum SegReg reg, uint64_t arg)
{
    return type_in(s, reg, s->ia32e ? T(AR_TSS) : arg);
}

static bool code_dpl(const struct SegView *s, enum SegReg reg, uint64_t arg)
{
    uint32_t dpl = AR_DPL(s->regs[reg].ar), ss_dpl = AR_DPL(s->regs[SS].ar);
    (void)arg;
    switch (AR_TYPE(s->regs[reg].ar)) {
    case 3:
        return dpl == 0;
    case 9:
    case 11:
        return dpl == ss_dpl;
    case 13:
    case 15:
        return dpl <= ss_dpl;
    }
    return true;
}

static bool dpl_is_rpl(const struct SegView *s, enum SegReg reg, uint64_t arg)
{
    (void)arg;
    return s->unrestricted || AR_DPL(s->regs[reg].ar) == SEL_RPL(s->regs[reg].sel);
}

static bool stack_dpl_0(const struct SegView *s, enum SegReg reg, uint64_t arg)
{
    (void)arg;
    bool privileged = AR_TYPE(s->regs[CS].ar) == 3 || !(s->v->cr0 & CR0_PE);
    return !privileged || AR_DPL(s->regs[reg].ar) == 0;
}

/* Conforming code (types 12 to 15) may be used from everywhere. */
static bool dpl_reaches_rpl(const struct SegView *s, enum SegReg reg, uint64_t arg)
{
    (void)arg;
    const struct SegRegister *seg = &s->regs[reg];
    return s->unrestricted || AR_TYPE(seg->ar) >= 12 || AR_DPL(seg->ar) >= SEL_RPL(seg->sel);
}

static bool not_both_sizes(const struct SegView *s, enum SegReg reg, uint64_t arg)
{
    return !s->ia32e || (s->regs[reg].ar & arg) != arg;
}

static bool granularity(const struct SegView *s, enum SegReg reg, uint64_t arg)
{
    (void)arg;
    const struct SegRegister *seg = &s->regs[reg];
    if (seg->ar & AR_G)
        return (seg->limit & 0xfff) == 0xfff;
    return seg->limit >> 20 == 0;
}

#define AR_TYPE_V86 0xf3
#define TYPE_WORDS  "bits 3:0 (type) must be "

static const struct SegRule rules[] = {
    { R(TR), SEL, ANY_USE, ANY_MODE, sel_zero, SEL_TI, "TI (bit 2) must be 0" },
    { R(LDTR), SEL, USABLE, ANY_MODE, sel_zero, SEL_TI, "TI (bit 2) must be 0" },
    { R(SS), SEL, ANY_USE, NOT_V86, rpl_as_cs, 0, "RPL must be that of CS in a restricted guest" },

    { CODE_DATA, BASE, ANY_USE, IN_V86, base_of_selector, 0,
      "must be 16 times the selector in virtual-8086 mode" },
    { R(FS) | R(GS) | R(TR), BASE, ANY_USE, ANY_MODE, base_canonical, 0, "must be canonical" },
    { R(LDTR), BASE, USABLE, ANY_MODE, base_canonical, 0, "must be canonical" },
    { R(CS), BASE, ANY_USE, ANY_MODE, base_32_bits, 0, "bits 63:32 must be 0" },
    { R(SS) | R(DS) | R(ES), BASE, USABLE, ANY_MODE, base_32_bits, 0, "bits 63:32 must be 0" },

    { CODE_DATA, LIMIT, ANY_USE, IN_V86, limit_is, 0xffff, "must be 0xffff in virtual-8086 mode" },
    { CODE_DATA, AR, ANY_USE, IN_V86, ar_is, AR_TYPE_V86, "must be 0xf3 in virtual-8086 mode" },

    { R(CS), AR, USABLE, NOT_V86, code_type, T(9) | T(11) | T(13) | T(15),
      TYPE_WORDS "accessed code (9, 11, 13, 15), or 3 in an unrestricted guest" },
    { R(SS), AR, USABLE, NOT_V86, type_in, T(3) | T(7), TYPE_WORDS "writable data (3 or 7)" },
    { DATA_REGS, AR, USABLE, NOT_V86, ar_one, TYPE_ACCESSED, "bit 0 (accessed) must be 1" },
    { DATA_REGS, AR, USABLE, NOT_V86, readable, 0, "bit 1 (readable) must be 1 if it is code" },
    { CODE_DATA, AR, USABLE, NOT_V86, ar_one, AR_S, "S (bit 4) must be 1: code or data" },
    { R(CS), AR, ANY_USE, NOT_V86, code_dpl, 0,
      "DPL must be that of SS (at most that if conforming, 0 if the type is 3)" },
    { R(SS), AR, ANY_USE, NOT_V86, dpl_is_rpl, 0,
      "DPL must be the selector's RPL in a restricted guest" },
    { R(SS), AR, ANY_USE, NOT_V86, stack_dpl_0, 0,
      "DPL must be 0 in real mode, or if the type of CS is 3" },
    { DATA_REGS, AR, USABLE, NOT_V86, dpl_reaches_rpl, 0,
      "DPL must not be below the selector's RPL in a restricted guest" },
    { CODE_DATA, AR, USABLE, NOT_V86, ar_one, AR_P, "P (bit 7) must be 1" },
    { CODE_DATA, AR, USABLE, NOT_V86, ar_zero, 0xf00, "bits 11:8 must be 0" },
    { R(CS), AR, ANY_USE, NOT_V86, not_both_sizes, AR_L | AR_DB,
      "D/B (bit 14) must be 0 in 64-bit mode" },
    { CODE_DATA, AR, USABLE, NOT_V86, granularity, 0,
      "G (bit 15) must be 0 if the limit's bits 11:0 are not all 1, and 1 if bits 31:20 are not "
      "0" },
    { CODE_DATA, AR, USABLE, NOT_V86, ar_zero, 0xfffe0000, "bits 31:17 must be 0" },

    { R(TR), AR, ANY_USE, ANY_MODE, tr_type, T(3) | T(11),
      TYPE_WORDS "a busy TSS (11, or 3 outside of IA-32e mode)" },
    { R(TR), AR, ANY_USE, ANY_MODE, ar_zero, AR_UNUSABLE, "bit 16 (unusable) must be 0" },
    { R(LDTR), AR, USABLE, ANY_MODE, type_in, T(2), TYPE_WORDS "an LDT (2)" },
    { R(LDTR) | R(TR), AR, USABLE, ANY_MODE, ar_zero, AR_S, "S (bit 4) must be 0: system" },
    { R(LDTR) | R(TR), AR, USABLE, ANY_MODE, ar_one, AR_P, "P (bit 7) must be 1" },
    { R(LDTR) | R(TR), AR, USABLE, ANY_MODE, ar_zero, 0xf00, "bits 11:8 must be 0" },
    { R(LDTR) | R(TR), AR, USABLE, ANY_MODE, granularity, 0,
      "G (bit 15) must be 0 if the limit's bits 11:0 are not all 1, and 1 if bits 31:20 are not "
      "0" },
    { R(LDTR) | R(TR), AR, USABLE, ANY_MODE, ar_zero, 0xfffe0000, "bits 31:17 must be 0" },
};

/* The fields of one register lie 2 encodings after those of the register before. */
static enum VmcsField field_of(enum VmcsField part, enum SegReg reg)
{
    return part + reg * (VMCS_GUEST_CS_SEL - VMCS_GUEST_ES_SEL);
}

static uint64_t *part_of(struct SegRegister *seg, enum VmcsField part)
{
    return part == SEL     ? &seg->sel
           : part == LIMIT ? &seg->limit
           : part == AR    ? &seg->ar
                           : &seg->base;
}

static void read_registers(struct SegView *s, const struct CheckView *v)
{
    static const enum VmcsField parts[] = { SEL, LIMIT, AR, BASE };
    s->v = v;
    s->v86 = check_applies(v, IN_MODE, MODE_V86);
    s->unrestricted = check_applies(v, IN_MODE, MODE_URG);
    s->ia32e = check_applies(v, IN_MODE, MODE_IA32E);
    for (enum SegReg reg = 0; reg < NSEGREGS; reg++)
        for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
            *part_of(&s->regs[reg], parts[i]) = vmread(field_of(parts[i], reg));
}

static bool rule_applies(const struct SegView *s, const struct SegRule *r, enum SegReg reg)
{
    if (!(r->regs & R(reg)) || (r->mode == IN_V86 && !s->v86) || (r->mode == NOT_V86 && s->v86))
        return false;
    return r->use == ANY_USE || reg == CS || reg == TR || !(s->regs[reg].ar & AR_UNUSABLE);
}

static void check_registers(struct CheckView *v, const struct CheckSection *section)
{
    struct SegView s;
    read_registers(&s, v);
    for (const struct SegRule *r = rules; r < rules + ARRAY_SIZE(rules); r++)
        for (enum SegReg reg = 0; reg < NSEGREGS; reg++)
            if (rule_applies(&s, r, reg) && !r->holds(&s, reg, r->arg))
                check_violation(v, section, field_of(r->part, reg), *part_of(&s.regs[reg], r->part),
                                r->words);
}

const struct CheckSection check_segments[] = {
    { "Checks on Guest Segment Registers", CHECK_GUEST, NULL, 0, check_registers },
    { NULL, CHECK_OK, NULL, 0, NULL },
};
