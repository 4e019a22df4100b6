/*
 * Operands: the registers by number, and addresses as the guest's mode makes them.
 */
#include <inc/mmu.h>
#include <inc/string.h>
#include <inc/trap.h>
#include <user/vmm/insn/alu.h>
#include <user/vmm/insn/operand.h>

#define INSN_FS 4

/* ---- Registers ---- */

static const uint8_t places[] = {
    offsetof(struct GuestRegs, rax), offsetof(struct GuestRegs, rcx),
    offsetof(struct GuestRegs, rdx), offsetof(struct GuestRegs, rbx),
    offsetof(struct GuestRegs, rsp), offsetof(struct GuestRegs, rbp),
    offsetof(struct GuestRegs, rsi), offsetof(struct GuestRegs, rdi),
    offsetof(struct GuestRegs, r8),  offsetof(struct GuestRegs, r9),
    offsetof(struct GuestRegs, r10), offsetof(struct GuestRegs, r11),
    offsetof(struct GuestRegs, r12), offsetof(struct GuestRegs, r13),
    offsetof(struct GuestRegs, r14), offsetof(struct GuestRegs, r15),
};

uint64_t reg_get(const struct GuestRegs *r, unsigned n, unsigned size)
{
    uint64_t v;
    memcpy(&v, (const char *)r + places[n & 15], sizeof(v));
    return alu_low(v, size);
}

void reg_set(struct GuestRegs *r, unsigned n, unsigned size, uint64_t value)
{
    uint64_t old = reg_get(r, n, 8);
    uint64_t kept = size < 4 ? old - alu_low(old, size) : 0;
    value = kept | alu_low(value, size);
    memcpy((char *)r + places[n & 15], &value, sizeof(value));
}

uint64_t operand_g(const struct Emulation *e)
{
    const struct Insn *insn = &e->insn;
    if (insn->high)
        return reg_get(e->regs, insn->reg - 4, 2) >> 8;
    return reg_get(e->regs, insn->reg, insn->size);
}

void set_operand_g(struct Emulation *e, uint64_t value)
{
    const struct Insn *insn = &e->insn;
    if (!insn->high) {
        reg_set(e->regs, insn->reg, insn->size, value);
        return;
    }
    uint64_t low = reg_get(e->regs, insn->reg - 4, 1);
    reg_set(e->regs, insn->reg - 4, 2, (value & 0xff) << 8 | low);
}

/* ---- Addresses ---- */

/* In 64-bit mode only FS and GS have a base. */
uint64_t linear(const struct Emulation *e, unsigned segment, uint64_t offset)
{
    if (e->code->bits != 64)
        return (uint32_t)(e->code->segment_base[segment] + offset);
    return segment >= INSN_FS ? e->code->segment_base[segment] + offset : offset;
}

unsigned stack_width(const struct Emulation *e)
{
    return e->code->stack_bits / 8;
}

static uint64_t register_or_rip(const struct Emulation *e, unsigned n)
{
    if (n == INSN_RIP)
        return e->regs->rip + e->insn.length;
    return n == INSN_NONE ? 0 : reg_get(e->regs, n, 8);
}

static uint64_t address(const struct Emulation *e)
{
    const struct Insn *insn = &e->insn;
    uint64_t offset = register_or_rip(e, insn->base) +
                      register_or_rip(e, insn->index) * insn->scale + insn->displacement;
    return linear(e, insn->segment, alu_low(offset, insn->address_size));
}

/* ---- Memory ---- */

bool memory_is_canonical(struct Emulation *e, uint64_t va, unsigned size, unsigned segment)
{
    if (e->code->bits != 64 || (is_canonical(va) && is_canonical(va + size - 1)))
        return true;
    e->fault = (struct Fault){ .vector = segment == INSN_SS ? T_STACK : T_GPFLT };
    return false;
}

bool memory_read(struct Emulation *e, uint64_t va, unsigned segment, unsigned size, bool writes,
                 uint64_t *value)
{
    if (!memory_is_canonical(e, va, size, segment) || !e->memory->read(e, va, size, writes, value))
        return false;
    *value = alu_low(*value, size);
    return true;
}

bool memory_write(struct Emulation *e, uint64_t va, unsigned segment, unsigned size, uint64_t value)
{
    return memory_is_canonical(e, va, size, segment) &&
           e->memory->write(e, va, size, alu_low(value, size));
}

bool operand_read(struct Emulation *e, bool writes, uint64_t *value)
{
    return memory_read(e, address(e), e->insn.segment, e->insn.memory_size, writes, value);
}

bool operand_write(struct Emulation *e, uint64_t value)
{
    return memory_write(e, address(e), e->insn.segment, e->insn.memory_size, value);
}
