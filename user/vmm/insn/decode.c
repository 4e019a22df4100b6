/*
 * The decoder: prefixes, one table for each opcode map, ModR/M and SIB bytes, immediates.
 */
#include <inc/string.h>
#include <user/vmm/insn/insn.h>

/* What an opcode is, beside its operation and form. */
#define BYTES    0x01 /* operands are bytes */
#define IMM8     0x02 /* an immediate byte, sign extended */
#define IMMZ     0x04 /* one of 2 or 4 bytes, by operand size */
#define OFFSET   0x08 /* no ModR/M byte: the accumulator, and an address in full */
#define LOCKS    0x10 /* LOCK is allowed */
#define GROUP    0x20 /* op: a group, by the reg field */
#define WIDE     0x40 /* operands are of 64 bits by default in 64-bit mode */
#define NO_MODRM 0x80
#define NO_66    0x100 /* the prefix 66 makes it another instruction, or none */
#define NO_REP   0x200 /* and so do F2 and F3 */
#define DWORDS   0x400 /* operands are of 4 bytes, or 8 by REX.W, in all modes */
#define NEAR     0x800 /* a near branch: in 64-bit mode, what 66 does depends on the CPU's maker */

struct Opcode {
    uint8_t op, form;
    uint16_t flags;
    uint8_t memory; /* bytes in memory, if not those of the operand size */
};

enum Group {
    GROUP_1,  /* 80 to 83 */
    GROUP_1A, /* 8F */
    GROUP_2I, /* C0, C1 */
    GROUP_21, /* D0, D1 */
    GROUP_2C, /* D2, D3 */
    GROUP_3,  /* F6, F7 */
    GROUP_4,  /* FE */
    GROUP_5,  /* FF */
    GROUP_8,  /* 0F BA */
    GROUP_9,  /* 0F C7 */
    GROUP_11, /* C6, C7 */
    GROUP_15, /* 0F AE */
};

#define SHIFTS(form, flags)                                                                     \
    {                                                                                           \
        { OP_ROL, form, flags, 0 }, { OP_ROR, form, flags, 0 }, { OP_RCL, form, flags, 0 },     \
            { OP_RCR, form, flags, 0 }, { OP_SHL, form, flags, 0 }, { OP_SHR, form, flags, 0 }, \
            { OP_SAL, form, flags, 0 }, { OP_SAR, form, flags, 0 },                             \
    }

/* An entry's flags are added to those of its opcode. */
static const struct Opcode groups[][8] = {
    [GROUP_1] = { { OP_ADD, FORM_E_I, LOCKS, 0 },
                  { OP_OR, FORM_E_I, LOCKS, 0 },
                  { OP_ADC, FORM_E_I, LOCKS, 0 },
                  { OP_SBB, FORM_E_I, LOCKS, 0 },
                  { OP_AND, FORM_E_I, LOCKS, 0 },
                  { OP_SUB, FORM_E_I, LOCKS, 0 },
                  { OP_XOR, FORM_E_I, LOCKS, 0 },
                  { OP_CMP, FORM_E_I, 0, 0 } },
    [GROUP_1A] = { { OP_POP, FORM_E, WIDE, 0 } },
    [GROUP_2I] = SHIFTS(FORM_E_I, IMM8),
    [GROUP_21] = SHIFTS(FORM_E_1, 0),
    [GROUP_2C] = SHIFTS(FORM_E_CL, 0),
    [GROUP_3] = { { OP_TEST, FORM_E_I, IMMZ, 0 },
                  { OP_TEST, FORM_E_I, IMMZ, 0 },
                  { OP_NOT, FORM_E, LOCKS, 0 },
                  { OP_NEG, FORM_E, LOCKS, 0 },
                  { OP_MUL, FORM_E, 0, 0 },
                  { OP_IMUL, FORM_E, 0, 0 } },
    [GROUP_4] = { { OP_INC, FORM_E, LOCKS, 0 }, { OP_DEC, FORM_E, LOCKS, 0 } },
    [GROUP_5] = { [0] = { OP_INC, FORM_E, LOCKS, 0 },
                  [1] = { OP_DEC, FORM_E, LOCKS, 0 },
                  [2] = { OP_CALL, FORM_E, WIDE | NEAR, 0 },
                  [4] = { OP_JMP, FORM_E, WIDE | NEAR, 0 },
                  [6] = { OP_PUSH, FORM_E, WIDE, 0 } },
    [GROUP_8] = { [4] = { OP_BT, FORM_E_I, 0, 0 },
                  [5] = { OP_BTS, FORM_E_I, LOCKS, 0 },
                  [6] = { OP_BTR, FORM_E_I, LOCKS, 0 },
                  [7] = { OP_BTC, FORM_E_I, LOCKS, 0 } },
    [GROUP_9] = { [1] = { OP_CMPXCHG8B, FORM_E, LOCKS | NO_66 | NO_REP, 8 } },
    [GROUP_11] = { { OP_MOV, FORM_E_I, 0, 0 } },
    [GROUP_15] = { [7] = { OP_NOP, FORM_E, NO_REP, 1 } }, /* CLFLUSH, CLFLUSHOPT */
};

#define ALU(first, op)                                                     \
    [(first)] = { op, FORM_E_G, BYTES | ((op) != OP_CMP ? LOCKS : 0), 0 }, \
    [(first) + 1] = { op, FORM_E_G, (op) != OP_CMP ? LOCKS : 0, 0 },       \
    [(first) + 2] = { op, FORM_G_E, BYTES, 0 }, [(first) + 3] = { op, FORM_G_E, 0, 0 }

static const struct Opcode one_byte[256] = {
    ALU(0x00, OP_ADD),
    ALU(0x08, OP_OR),
    ALU(0x10, OP_ADC),
    ALU(0x18, OP_SBB),
    ALU(0x20, OP_AND),
    ALU(0x28, OP_SUB),
    ALU(0x30, OP_XOR),
    ALU(0x38, OP_CMP),
    [0x50 ... 0x57] = { OP_PUSH, FORM_STACK_G, WIDE | NO_MODRM, 0 },
    [0x58 ... 0x5f] = { OP_POP, FORM_STACK_G, WIDE | NO_MODRM, 0 },
    [0x63] = { OP_MOVSX, FORM_G_E, 0, 4 }, /* MOVSXD; ARPL outside of 64-bit mode */
    [0x68] = { OP_PUSH, FORM_STACK_I, WIDE | NO_MODRM | IMMZ, 0 },
    [0x69] = { OP_IMUL_REG, FORM_G_E_I, IMMZ, 0 },
    [0x6a] = { OP_PUSH, FORM_STACK_I, WIDE | NO_MODRM | IMM8, 0 },
    [0x6b] = { OP_IMUL_REG, FORM_G_E_I, IMM8, 0 },
    [0x80] = { GROUP_1, 0, GROUP | BYTES | IMM8, 0 },
    [0x81] = { GROUP_1, 0, GROUP | IMMZ, 0 },
    [0x82] = { GROUP_1, 0, GROUP | BYTES | IMM8, 0 }, /* not in 64-bit mode */
    [0x83] = { GROUP_1, 0, GROUP | IMM8, 0 },
    [0x84] = { OP_TEST, FORM_E_G, BYTES, 0 },
    [0x85] = { OP_TEST, FORM_E_G, 0, 0 },
    [0x86] = { OP_XCHG, FORM_E_G, BYTES | LOCKS, 0 },
    [0x87] = { OP_XCHG, FORM_E_G, LOCKS, 0 },
    [0x88] = { OP_MOV, FORM_E_G, BYTES, 0 },
    [0x89] = { OP_MOV, FORM_E_G, 0, 0 },
    [0x8a] = { OP_MOV, FORM_G_E, BYTES, 0 },
    [0x8b] = { OP_MOV, FORM_G_E, 0, 0 },
    [0x8c] = { OP_MOV, FORM_E_S, 0, 2 },
    [0x8f] = { GROUP_1A, 0, GROUP, 0 },
    [0xa0] = { OP_MOV, FORM_G_E, OFFSET | BYTES, 0 },
    [0xa1] = { OP_MOV, FORM_G_E, OFFSET, 0 },
    [0xa2] = { OP_MOV, FORM_E_G, OFFSET | BYTES, 0 },
    [0xa3] = { OP_MOV, FORM_E_G, OFFSET, 0 },
    [0xa4] = { OP_MOVS, FORM_STRING, NO_MODRM | BYTES, 0 },
    [0xa5] = { OP_MOVS, FORM_STRING, NO_MODRM, 0 },
    [0xa6] = { OP_CMPS, FORM_STRING, NO_MODRM | BYTES, 0 },
    [0xa7] = { OP_CMPS, FORM_STRING, NO_MODRM, 0 },
    [0xaa] = { OP_STOS, FORM_STRING, NO_MODRM | BYTES, 0 },
    [0xab] = { OP_STOS, FORM_STRING, NO_MODRM, 0 },
    [0xac] = { OP_LODS, FORM_STRING, NO_MODRM | BYTES, 0 },
    [0xad] = { OP_LODS, FORM_STRING, NO_MODRM, 0 },
    [0xae] = { OP_SCAS, FORM_STRING, NO_MODRM | BYTES, 0 },
    [0xaf] = { OP_SCAS, FORM_STRING, NO_MODRM, 0 },
    [0xc0] = { GROUP_2I, 0, GROUP | BYTES, 0 },
    [0xc1] = { GROUP_2I, 0, GROUP, 0 },
    [0xc3] = { OP_RET, FORM_STACK_G, WIDE | NO_MODRM | NEAR, 0 },
    [0xc6] = { GROUP_11, 0, GROUP | BYTES | IMM8, 0 },
    [0xc7] = { GROUP_11, 0, GROUP | IMMZ, 0 },
    [0xd0] = { GROUP_21, 0, GROUP | BYTES, 0 },
    [0xd1] = { GROUP_21, 0, GROUP, 0 },
    [0xd2] = { GROUP_2C, 0, GROUP | BYTES, 0 },
    [0xd3] = { GROUP_2C, 0, GROUP, 0 },
    [0xe8] = { OP_CALL, FORM_STACK_I, WIDE | NO_MODRM | IMMZ | NEAR, 0 },
    [0xf6] = { GROUP_3, 0, GROUP | BYTES, 0 },
    [0xf7] = { GROUP_3, 0, GROUP, 0 },
    [0xfe] = { GROUP_4, 0, GROUP | BYTES, 0 },
    [0xff] = { GROUP_5, 0, GROUP, 0 },
};

/* After 0F */
static const struct Opcode two_bytes[256] = {
    [0x40 ... 0x4f] = { OP_CMOV, FORM_G_E, 0, 0 },
    [0x90 ... 0x9f] = { OP_SETCC, FORM_E, BYTES, 0 },
    [0xa3] = { OP_BT, FORM_E_G, 0, 0 },
    [0xab] = { OP_BTS, FORM_E_G, LOCKS, 0 },
    [0xae] = { GROUP_15, 0, GROUP, 0 },
    [0xaf] = { OP_IMUL_REG, FORM_G_E, 0, 0 },
    [0xb0] = { OP_CMPXCHG, FORM_E_G, BYTES | LOCKS, 0 },
    [0xb1] = { OP_CMPXCHG, FORM_E_G, LOCKS, 0 },
    [0xb3] = { OP_BTR, FORM_E_G, LOCKS, 0 },
    [0xb6] = { OP_MOVZX, FORM_G_E, 0, 1 },
    [0xb7] = { OP_MOVZX, FORM_G_E, 0, 2 },
    [0xba] = { GROUP_8, 0, GROUP | IMM8, 0 },
    [0xbb] = { OP_BTC, FORM_E_G, LOCKS, 0 },
    [0xbe] = { OP_MOVSX, FORM_G_E, 0, 1 },
    [0xbf] = { OP_MOVSX, FORM_G_E, 0, 2 },
    [0xc0] = { OP_XADD, FORM_E_G, BYTES | LOCKS, 0 },
    [0xc1] = { OP_XADD, FORM_E_G, LOCKS, 0 },
    [0xc3] = { OP_MOV, FORM_E_G, DWORDS | NO_66 | NO_REP, 0 }, /* MOVNTI */
    [0xc7] = { GROUP_9, 0, GROUP, 0 },
};

/* After 0F 38: F0 and F1 */
static const struct Opcode three_bytes[2] = {
    { OP_MOVBE, FORM_G_E, NO_REP, 0 },
    { OP_MOVBE, FORM_E_G, NO_REP, 0 },
};

/* ---- Bytes ---- */

struct Cursor {
    const uint8_t *bytes;
    unsigned n, at;
    bool is_short; /* more were asked for than there are */
};

static uint8_t peek(struct Cursor *c)
{
    if (c->at < c->n)
        return c->bytes[c->at];
    c->is_short = true;
    return 0;
}

static uint8_t next(struct Cursor *c)
{
    uint8_t byte = peek(c);
    c->at++;
    return byte;
}

/* A little-endian number of 1, 2, 4 or 8 bytes, sign extended. */
static int64_t next_signed(struct Cursor *c, unsigned size)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < size; i++)
        v |= (uint64_t)next(c) << 8 * i;
    unsigned unused = 64 - 8 * size;
    return size ? (int64_t)(v << unused) >> unused : 0;
}

/* ---- Prefixes ---- */

#define REX_B 1
#define REX_X 2
#define REX_R 4
#define REX_W 8

struct Prefixes {
    uint8_t rex, rep, segment; /* INSN_NONE: no segment */
    bool operand, address, lock;
};

/* The segment that a prefix overrides with, or INSN_NONE. */
static uint8_t segment_of(uint8_t byte)
{
    switch (byte) {
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e:
        return byte >> 3 & 3;
    case 0x64:
    case 0x65:
        return byte - 0x60;
    }
    return INSN_NONE;
}

/* In 64-bit mode only FS and GS have effect. */
static bool take_prefix(struct Prefixes *p, uint8_t byte, unsigned bits)
{
    uint8_t segment = segment_of(byte);
    if (byte == 0x66)
        p->operand = true;
    else if (byte == 0x67)
        p->address = true;
    else if (byte == 0xf0)
        p->lock = true;
    else if (byte == 0xf2 || byte == 0xf3)
        p->rep = byte;
    else if (segment == INSN_NONE)
        return false;
    else if (bits != 64 || segment > INSN_DS)
        p->segment = segment;
    return true;
}

/* A REX prefix counts right before the opcode only. */
static struct Prefixes next_prefixes(struct Cursor *c, unsigned bits)
{
    struct Prefixes p = { .segment = INSN_NONE };
    for (;; c->at++) {
        uint8_t byte = peek(c);
        if (bits == 64 && (byte & 0xf0) == 0x40)
            p.rex = byte;
        else if (take_prefix(&p, byte, bits))
            p.rex = 0;
        else
            return p;
    }
}

static unsigned operand_size(const struct Prefixes *p, unsigned bits, uint16_t flags)
{
    if (flags & BYTES)
        return 1;
    if (p->rex & REX_W)
        return 8;
    if (flags & DWORDS)
        return 4;
    if (bits == 64 && (flags & WIDE))
        return p->operand ? 2 : 8;
    return (bits == 16) != p->operand ? 2 : 4;
}

static unsigned address_size(const struct Prefixes *p, unsigned bits)
{
    if (bits == 64)
        return p->address ? 4 : 8;
    return (bits == 16) != p->address ? 2 : 4;
}

/* ---- ModR/M ---- */

#define MODRM_MOD(b) ((b) >> 6)
#define MODRM_REG(b) ((b) >> 3 & 7)
#define MODRM_RM(b)  ((b)&7)

/* SDM "16-Bit Addressing Forms with the ModR/M Byte" */
static void memory_16(struct Insn *insn, struct Cursor *c, uint8_t modrm)
{
    static const struct {
        uint8_t base, index;
    } forms[] = {
        { INSN_RBX, INSN_RSI },  { INSN_RBX, INSN_RDI },  { INSN_RBP, INSN_RSI },
        { INSN_RBP, INSN_RDI },  { INSN_RSI, INSN_NONE }, { INSN_RDI, INSN_NONE },
        { INSN_RBP, INSN_NONE }, { INSN_RBX, INSN_NONE },
    };
    unsigned mod = MODRM_MOD(modrm), rm = MODRM_RM(modrm);
    insn->base = forms[rm].base;
    insn->index = forms[rm].index;
    insn->scale = 1;
    if (mod == 0 && rm == 6)
        insn->base = INSN_NONE;
    insn->displacement = next_signed(c, mod == 0 ? (rm == 6 ? 2 : 0) : mod);
}

static void take_sib(struct Insn *insn, struct Cursor *c, uint8_t rex)
{
    uint8_t sib = next(c);
    insn->scale = 1 << (sib >> 6);
    insn->index = (sib >> 3 & 7) | (rex & REX_X ? 8 : 0);
    insn->base = (sib & 7) | (rex & REX_B ? 8 : 0);
    if (insn->index == INSN_RSP)
        insn->index = INSN_NONE;
}

/* SDM "32-Bit Addressing Forms with the ModR/M Byte", and "RIP-Relative Addressing" */
static void memory_32(struct Insn *insn, struct Cursor *c, uint8_t modrm, uint8_t rex,
                      unsigned bits)
{
    unsigned mod = MODRM_MOD(modrm);
    bool has_sib = MODRM_RM(modrm) == INSN_RSP;
    insn->base = MODRM_RM(modrm) | (rex & REX_B ? 8 : 0);
    insn->index = INSN_NONE;
    insn->scale = 1;
    if (has_sib)
        take_sib(insn, c, rex);
    bool is_absolute = mod == 0 && (insn->base & 7) == INSN_RBP;
    if (is_absolute)
        insn->base = bits == 64 && !has_sib ? INSN_RIP : INSN_NONE;
    insn->displacement = next_signed(c, is_absolute || mod == 2 ? 4 : mod);
}

/* Returns the ModR/M byte. */
static uint8_t next_modrm(struct Insn *insn, struct Cursor *c, const struct Prefixes *p,
                          unsigned bits)
{
    uint8_t modrm = next(c);
    insn->reg = MODRM_REG(modrm) | (p->rex & REX_R ? 8 : 0);
    if (MODRM_MOD(modrm) == 3)
        return modrm;
    if (insn->address_size == 2)
        memory_16(insn, c, modrm);
    else
        memory_32(insn, c, modrm, p->rex, bits);
    return modrm;
}

/* ---- Instructions ---- */

static struct Opcode next_opcode(struct Cursor *c, struct Insn *insn)
{
    const struct Opcode *map = one_byte;
    uint8_t byte = next(c);
    if (byte == 0x0f) {
        map = two_bytes;
        byte = next(c);
    }
    if (map == two_bytes && byte == 0x38) {
        byte = next(c);
        return byte >> 1 == 0xf0 >> 1 ? three_bytes[byte & 1] : (struct Opcode){ 0 };
    }
    insn->cond = byte & 0xf;
    insn->reg = byte & 7;
    return map[byte];
}

static struct Opcode member_of(const struct Opcode *group, unsigned reg)
{
    struct Opcode member = groups[group->op][reg & 7];
    member.flags |= group->flags & ~GROUP;
    if (member.op == OP_TEST && (member.flags & BYTES))
        member.flags = (member.flags & ~IMMZ) | IMM8;
    return member;
}

/* Opcodes that mean something else in some mode, or with some prefix, which is not known here. */
static bool is_other(const struct Insn *insn, const struct Opcode *o, const struct Prefixes *p,
                     unsigned bits, uint8_t opcode)
{
    if ((p->lock && !(o->flags & LOCKS)) || (p->operand && (o->flags & NO_66)) ||
        (p->rep && (o->flags & NO_REP)) || (p->operand && bits == 64 && (o->flags & NEAR)))
        return true;
    if (insn->op == OP_MOVSX && opcode == 0x63)
        return bits != 64;
    if (insn->op == OP_CMPXCHG8B)
        return insn->size == 8; /* CMPXCHG16B */
    if (insn->form == FORM_E_S)
        return insn->reg >= GUEST_NSEGMENTS;
    return opcode == 0x82 && bits == 64;
}

static uint8_t default_segment(const struct Insn *insn)
{
    return insn->base == INSN_RSP || insn->base == INSN_RBP ? INSN_SS : INSN_DS;
}

static void finish(struct Insn *insn, const struct Opcode *o, const struct Prefixes *p,
                   struct Cursor *c, unsigned bits)
{
    insn->op = o->op;
    insn->form = o->form;
    insn->size = operand_size(p, bits, o->flags);
    insn->memory_size = o->memory ? o->memory : insn->size;
    if (o->form == FORM_E_S)
        insn->reg &= 7;
    insn->high =
        (o->flags & BYTES) && !p->rex && insn->reg >= 4 && insn->reg < 8 && !(o->flags & OFFSET);
    insn->segment = p->segment != INSN_NONE ? p->segment : default_segment(insn);
    insn->rep = p->rep;
    insn->imm = next_signed(c, o->flags & IMM8   ? 1
                               : o->flags & IMMZ ? MIN((unsigned)insn->size, 4u)
                                                 : 0);
}

/* The operands that come before an immediate. Returns false if the one of ModR/M is a register. */
static bool next_operands(struct Insn *insn, struct Opcode *o, const struct Prefixes *p,
                          struct Cursor *c, unsigned bits)
{
    if (o->flags & OFFSET) {
        insn->reg = INSN_RAX;
        insn->displacement = next_signed(c, insn->address_size);
        return true;
    }
    if (o->flags & NO_MODRM) {
        insn->reg |= p->rex & REX_B ? 8 : 0;
        return true;
    }
    uint8_t modrm = next_modrm(insn, c, p, bits);
    if (o->flags & GROUP)
        *o = member_of(o, MODRM_REG(modrm));
    return MODRM_MOD(modrm) != 3;
}

/* Is it known by now that it is none of those known here? */
static bool is_unknown(const struct Opcode *o, const struct Cursor *c)
{
    return !c->is_short && o->op == OP_NONE && !(o->flags & GROUP);
}

enum DecodeResult insn_decode(struct Insn *insn, const uint8_t *bytes, unsigned n, unsigned bits)
{
    struct Cursor c = { .bytes = bytes, .n = n };
    *insn = (struct Insn){ .base = INSN_NONE, .index = INSN_NONE };
    struct Prefixes p = next_prefixes(&c, bits);
    insn->address_size = address_size(&p, bits);
    uint8_t first = peek(&c);
    struct Opcode o = next_opcode(&c, insn);
    if (is_unknown(&o, &c))
        return DECODE_UNKNOWN;
    bool in_memory = next_operands(insn, &o, &p, &c, bits);
    if (is_unknown(&o, &c))
        return DECODE_UNKNOWN;
    finish(insn, &o, &p, &c, bits);
    insn->length = c.at;
    if (c.is_short)
        return DECODE_SHORT;
    if (is_other(insn, &o, &p, bits, first))
        return DECODE_UNKNOWN;
    return in_memory ? DECODED : DECODE_REGISTER;
}
