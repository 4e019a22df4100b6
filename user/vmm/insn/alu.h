/*
 * Arithmetic as the CPU does it, with its flags.
 */
#ifndef JOS_USER_VMM_INSN_ALU_H
#define JOS_USER_VMM_INSN_ALU_H

#include <user/vmm/insn/insn.h>

/* All functions take operands of `size` bytes, whose higher bits count for nothing, and keep in
 * *flags (RFLAGS) what the operation does not define or change. */

/* OP_ADD to OP_CMP and OP_TEST: the result, which CMP and TEST only make flags of. */
uint64_t alu_binary(enum InsnOp op, uint64_t a, uint64_t b, unsigned size, uint64_t *flags);
/* OP_INC, OP_DEC, OP_NOT, OP_NEG. */
uint64_t alu_unary(enum InsnOp op, uint64_t a, unsigned size, uint64_t *flags);
/* OP_ROL to OP_SAR by `count`, which is taken modulo 32, or 64. */
uint64_t alu_shift(enum InsnOp op, uint64_t a, unsigned count, unsigned size, uint64_t *flags);
/* OP_BT to OP_BTC of bit `bit` of a. */
uint64_t alu_bit(enum InsnOp op, uint64_t a, unsigned bit, uint64_t *flags);
/* The product in two halves; is_signed: IMUL. */
uint64_t alu_multiply(uint64_t a, uint64_t b, unsigned size, bool is_signed, uint64_t *high,
                      uint64_t *flags);
/* Does condition `cond` hold, as Jcc, SETcc and CMOVcc encode it? */
bool alu_condition(unsigned cond, uint64_t flags);

/* The low `size` bytes of v, and these sign extended. */
uint64_t alu_low(uint64_t v, unsigned size);
int64_t alu_signed(uint64_t v, unsigned size);

#endif
