/*
 * Decoding of MOV. Where the operand in memory is does not matter, since the fault says that; only
 * how many bytes say it (SDM "Instruction Format", "Addressing-Mode Encoding of ModR/M and SIB
 * Bytes").
 */
#include <inc/string.h>
#include <vmm/apic_insn.h>

#define REX_W 8
#define REX_R 4

#define MODRM_MOD(m) ((m) >> 6)
#define MODRM_REG(m) ((m) >> 3 & 7)
#define MODRM_RM(m)  ((m)&7)
#define MOD_REGISTER 3
#define RM_SIB       4 /* with addresses of 32 and 64 bits */
#define RM_DISP32    5 /* with mod 0 */
#define RM16_DISP16  6 /* with mod 0 and addresses of 16 bits */
#define SIB_BASE(b)  ((b)&7)
#define BASE_DISP32  5 /* with mod 0 */

#define OP_MOV_FIRST   0x88 /* bit 0: not bytes; bit 1: load */
#define OP_MOV_LAST    0x8b
#define OP_MOFFS_FIRST 0xa0 /* bit 0: not bytes; bit 1: store */
#define OP_MOFFS_LAST  0xa3
#define OP_IMM_BYTE    0xc6
#define OP_IMM         0xc7

struct Prefixes {
    bool operand, address;
    uint8_t rex;
};

/* Is this a prefix? LOCK is none for MOV. A REX prefix counts just before the opcode. */
static inline bool take_prefix(struct Prefixes *p, uint8_t byte, unsigned bits)
{
    if (bits == 64 && (byte & 0xf0) == 0x40) {
        p->rex = byte;
        return true;
    }
    switch (byte) {
    case 0x66:
        p->operand = true;
        break;
    case 0x67:
        p->address = true;
        break;
    case 0x26: /* segment overrides */
    case 0x2e:
    case 0x36:
    case 0x3e:
    case 0x64:
    case 0x65:
    case 0xf2: /* REP, which MOV ignores */
    case 0xf3:
        break;
    default:
        return false;
    }
    p->rex = 0;
    return true;
}

static unsigned operand_bytes(const struct Prefixes *p, unsigned bits)
{
    if (p->rex & REX_W)
        return 8;
    return (bits == 16) != p->operand ? 2 : 4;
}

static unsigned address_bytes(const struct Prefixes *p, unsigned bits)
{
    if (bits == 64)
        return p->address ? 4 : 8;
    return (bits == 16) != p->address ? 2 : 4;
}

/* Bytes of the ModRM byte at `at` and what belongs to it, with addresses of 32 or 64 bits. */
static inline uint32_t modrm_length(const uint8_t *at)
{
    uint32_t mod = MODRM_MOD(at[0]), rm = MODRM_RM(at[0]);
    uint32_t length = rm == RM_SIB ? 2 : 1;
    if (mod == 1)
        return length + 1;
    if (mod == 2)
        return length + 4;
    bool disp32 = rm == RM_SIB ? SIB_BASE(at[1]) == BASE_DISP32 : rm == RM_DISP32;
    return length + (disp32 ? 4 : 0);
}

static uint32_t modrm_length_16(uint8_t modrm)
{
    uint32_t mod = MODRM_MOD(modrm);
    return 1 + (mod == 0 && MODRM_RM(modrm) == RM16_DISP16 ? 2 : mod);
}

/* An immediate of 1, 2 or 4 bytes, sign-extended. */
static uint64_t immediate(const uint8_t *at, unsigned n)
{
    int32_t value;
    memcpy(&value, at, sizeof(value));
    return n == 1 ? (int8_t)value : n == 2 ? (int16_t)value : value;
}

static inline void set_register(struct ApicMov *mov, const struct Prefixes *p, uint8_t modrm)
{
    uint32_t gpr = MODRM_REG(modrm) | (p->rex & REX_R ? 8 : 0);
    mov->high = mov->size == 1 && p->rex == 0 && gpr >= 4; /* AH, CH, DH, BH */
    mov->gpr = mov->high ? gpr - 4 : gpr;
}

/* From the opcode on, which is bytes[at]. */
static inline bool decode_mov(struct ApicMov *mov, const struct Prefixes *p, const uint8_t *bytes,
                              uint32_t at, unsigned bits)
{
    uint8_t opcode = bytes[at++], modrm = bytes[at];
    bool by_opcode = opcode >= OP_MOFFS_FIRST && opcode <= OP_MOFFS_LAST;
    *mov = (struct ApicMov){ .size = opcode & 1 ? operand_bytes(p, bits) : 1 };
    if (by_opcode) {
        mov->store = opcode & 2;
        mov->length = at + address_bytes(p, bits);
        return true;
    }
    if (MODRM_MOD(modrm) == MOD_REGISTER)
        return false;
    at += __builtin_expect(address_bytes(p, bits) == 2, 0) ? modrm_length_16(modrm)
                                                           : modrm_length(&bytes[at]);
    mov->length = at;
    if (opcode >= OP_MOV_FIRST && opcode <= OP_MOV_LAST) {
        mov->store = !(opcode & 2);
        set_register(mov, p, modrm);
        return true;
    }
    if ((opcode != OP_IMM_BYTE && opcode != OP_IMM) || MODRM_REG(modrm) != 0)
        return false;
    unsigned n = MIN(mov->size, (uint8_t)4);
    mov->store = mov->immediate = true;
    mov->length = at + n;
    if (mov->length <= APIC_INSN_MAX)
        mov->value = immediate(&bytes[at], n);
    return true;
}

bool apic_mov_decode(struct ApicMov *mov, const uint8_t *bytes, uint32_t n, unsigned bits)
{
    struct Prefixes p = { 0 };
    uint32_t at = 0;
    while (at < n && take_prefix(&p, bytes[at], bits))
        at++;
    return at < n && decode_mov(mov, &p, bytes, at, bits) && mov->length <= n;
}
