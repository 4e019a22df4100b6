/*
 * Arithmetic and its flags (SDM volume 1, "Status Flags"; volume 2 for each instruction).
 */
#include <inc/mmu.h>
#include <user/vmm/insn/alu.h>

uint64_t alu_low(uint64_t v, unsigned size)
{
    return size == 8 ? v : v & ((1ul << 8 * size) - 1);
}

int64_t alu_signed(uint64_t v, unsigned size)
{
    unsigned unused = 64 - 8 * size;
    return (int64_t)(v << unused) >> unused;
}

static bool top_bit(uint64_t v, unsigned size)
{
    return v >> (8 * size - 1) & 1;
}

static void set_flag(uint64_t *flags, uint64_t flag, bool on)
{
    *flags = on ? *flags | flag : *flags & ~flag;
}

/* What all results tell of themselves. */
static void set_szp(uint64_t *flags, uint64_t result, unsigned size)
{
    set_flag(flags, FL_SF, top_bit(result, size));
    set_flag(flags, FL_ZF, alu_low(result, size) == 0);
    set_flag(flags, FL_PF, !__builtin_parity(result & 0xff));
}

static uint64_t add(uint64_t a, uint64_t b, bool carry, unsigned size, uint64_t *flags)
{
    uint64_t r = alu_low(a + b + carry, size);
    set_flag(flags, FL_CF, r < a || (carry && r == a));
    set_flag(flags, FL_AF, (a ^ b ^ r) & 0x10);
    set_flag(flags, FL_OF, top_bit((a ^ r) & (b ^ r), size));
    return r;
}

static uint64_t subtract(uint64_t a, uint64_t b, bool borrow, unsigned size, uint64_t *flags)
{
    uint64_t r = alu_low(a - b - borrow, size);
    set_flag(flags, FL_CF, a < b || (borrow && a == b));
    set_flag(flags, FL_AF, (a ^ b ^ r) & 0x10);
    set_flag(flags, FL_OF, top_bit((a ^ b) & (a ^ r), size));
    return r;
}

static uint64_t logic(enum InsnOp op, uint64_t a, uint64_t b, uint64_t *flags)
{
    *flags &= ~(uint64_t)(FL_CF | FL_AF | FL_OF);
    if (op == OP_OR)
        return a | b;
    return op == OP_XOR ? a ^ b : a & b;
}

uint64_t alu_binary(enum InsnOp op, uint64_t a, uint64_t b, unsigned size, uint64_t *flags)
{
    bool carry = *flags & FL_CF;
    uint64_t r;
    a = alu_low(a, size);
    b = alu_low(b, size);
    if (op == OP_ADD || op == OP_ADC)
        r = add(a, b, op == OP_ADC && carry, size, flags);
    else if (op == OP_SUB || op == OP_CMP || op == OP_SBB)
        r = subtract(a, b, op == OP_SBB && carry, size, flags);
    else
        r = logic(op, a, b, flags);
    set_szp(flags, r, size);
    return r;
}

uint64_t alu_unary(enum InsnOp op, uint64_t a, unsigned size, uint64_t *flags)
{
    uint64_t carry = *flags & FL_CF, r;
    if (op == OP_NOT)
        return alu_low(~a, size);
    if (op == OP_NEG)
        return alu_binary(OP_SUB, 0, a, size, flags);
    r = alu_binary(op == OP_INC ? OP_ADD : OP_SUB, a, 1, size, flags);
    *flags = (*flags & ~(uint64_t)FL_CF) | carry;
    return r;
}

/* One bit to the left or right. What moves in is, for each operation: the bit that falls out, the
 * carry flag, 0, or the sign. */
static uint64_t shift_once(enum InsnOp op, uint64_t a, unsigned size, bool *carry)
{
    bool is_left = op == OP_ROL || op == OP_RCL || op == OP_SHL || op == OP_SAL;
    bool out = is_left ? top_bit(a, size) : a & 1;
    bool in = false;
    if (op == OP_ROL || op == OP_ROR)
        in = out;
    else if (op == OP_RCL || op == OP_RCR)
        in = *carry;
    else if (op == OP_SAR)
        in = top_bit(a, size);
    *carry = out;
    return is_left ? alu_low(a << 1 | in, size) : a >> 1 | (uint64_t)in << (8 * size - 1);
}

/* OF of the last bit's shift; it is defined for a count of 1 alone. */
static bool shift_overflow(enum InsnOp op, uint64_t before, uint64_t after, unsigned size)
{
    if (op == OP_SAR)
        return false;
    return top_bit(before ^ after, size);
}

uint64_t alu_shift(enum InsnOp op, uint64_t a, unsigned count, unsigned size, uint64_t *flags)
{
    bool carry = *flags & FL_CF;
    uint64_t before = alu_low(a, size), r = before;
    count &= size == 8 ? 63 : 31;
    if (count == 0)
        return r;
    for (unsigned i = 0; i < count; i++) {
        before = r;
        r = shift_once(op, r, size, &carry);
    }
    set_flag(flags, FL_CF, carry);
    set_flag(flags, FL_OF, shift_overflow(op, before, r, size));
    if (op >= OP_SHL)
        set_szp(flags, r, size);
    return r;
}

uint64_t alu_bit(enum InsnOp op, uint64_t a, unsigned bit, uint64_t *flags)
{
    uint64_t mask = 1ul << bit;
    set_flag(flags, FL_CF, a & mask);
    switch (op) {
    case OP_BTS:
        return a | mask;
    case OP_BTR:
        return a & ~mask;
    case OP_BTC:
        return a ^ mask;
    default:
        return a;
    }
}

uint64_t alu_multiply(uint64_t a, uint64_t b, unsigned size, bool is_signed, uint64_t *high,
                      uint64_t *flags)
{
    unsigned __int128 r =
        is_signed ? (unsigned __int128)((__int128)alu_signed(a, size) * alu_signed(b, size))
                  : (unsigned __int128)alu_low(a, size) * alu_low(b, size);
    uint64_t low = alu_low(r, size);
    *high = alu_low(r >> 8 * size, size);
    uint64_t fits = is_signed ? alu_low(alu_signed(low, size) >> 63, size) : 0;
    set_flag(flags, FL_CF, *high != fits);
    set_flag(flags, FL_OF, *high != fits);
    return low;
}

/* SDM volume 1, "EFLAGS Condition Codes": bit 0 of the number is a negation. */
bool alu_condition(unsigned cond, uint64_t flags)
{
    bool less = !(flags & FL_SF) != !(flags & FL_OF);
    const bool holds[] = {
        flags & FL_OF, flags & FL_CF, flags & FL_ZF, (flags & (FL_CF | FL_ZF)) != 0,
        flags & FL_SF, flags & FL_PF, less,          (flags & FL_ZF) || less,
    };
    return holds[cond >> 1 & 7] != (cond & 1);
}
