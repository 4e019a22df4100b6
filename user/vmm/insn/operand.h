/*
 * Operands of an instruction: registers, addresses, memory.
 */
#ifndef JOS_USER_VMM_INSN_OPERAND_H
#define JOS_USER_VMM_INSN_OPERAND_H

#include <user/vmm/insn/emulate.h>

/* The low `size` bytes of general register n. A write of 4 bytes clears the upper half, as the CPU
 * does it. */
uint64_t reg_get(const struct GuestRegs *r, unsigned n, unsigned size);
void reg_set(struct GuestRegs *r, unsigned n, unsigned size, uint64_t value);

/* Operand G. */
uint64_t operand_g(const struct Emulation *e);
void set_operand_g(struct Emulation *e, uint64_t value);

/* Operand E, in memory. false: a fault. writes: it will be written, too. */
bool operand_read(struct Emulation *e, bool writes, uint64_t *value);
bool operand_write(struct Emulation *e, uint64_t value);

/* The linear address of an offset in a segment. */
uint64_t linear(const struct Emulation *e, unsigned segment, uint64_t offset);
/* Bytes of the stack pointer that count. */
unsigned stack_width(const struct Emulation *e);

/* In 64-bit mode: are `size` bytes at va canonical (SDM "Canonical Addressing")? false: no, which
 * is a #GP(0), or a #SS(0) for an access by SS; it is noted. */
bool memory_is_canonical(struct Emulation *e, uint64_t va, unsigned size, unsigned segment);
/* Memory at a linear address, for an access by this segment. false: a fault. */
bool memory_read(struct Emulation *e, uint64_t va, unsigned segment, unsigned size, bool writes,
                 uint64_t *value);
bool memory_write(struct Emulation *e, uint64_t va, unsigned segment, unsigned size,
                  uint64_t value);

#endif
