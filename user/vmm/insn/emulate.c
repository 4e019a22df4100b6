/*
 * Instructions carried out: operands come from registers and memory, alu.c does the arithmetic. An
 * instruction changes registers only after its last access to memory, so that one that faults has
 * changed nothing.
 */
#include <inc/mmu.h>
#include <inc/string.h>
#include <inc/trap.h>
#include <user/vmm/insn/alu.h>
#include <user/vmm/insn/emulate.h>
#include <user/vmm/insn/operand.h>

/* ---- Two operands ---- */

/* The second operand of an instruction whose first one is in memory. */
static uint64_t source(const struct Emulation *e)
{
    const struct Insn *insn = &e->insn;
    switch (insn->form) {
    case FORM_E_I:
        return insn->imm;
    case FORM_E_1:
        return 1;
    case FORM_E_CL:
        return reg_get(e->regs, INSN_RCX, 1);
    case FORM_E_S:
        return e->code->selector[insn->reg];
    }
    return operand_g(e);
}

static bool is_compare(unsigned op)
{
    return op == OP_CMP || op == OP_TEST;
}

static enum EmulateResult do_binary(struct Emulation *e)
{
    const struct Insn *insn = &e->insn;
    bool to_memory = insn->form != FORM_G_E && !is_compare(insn->op);
    uint64_t flags = e->regs->rflags, m;
    if (!operand_read(e, to_memory, &m))
        return EMULATE_FAULT;
    uint64_t a = insn->form == FORM_G_E ? operand_g(e) : m;
    uint64_t b = insn->form == FORM_G_E ? m : source(e);
    uint64_t r = alu_binary(insn->op, a, b, insn->size, &flags);
    if (to_memory && !operand_write(e, r))
        return EMULATE_FAULT;
    if (insn->form == FORM_G_E && !is_compare(insn->op))
        set_operand_g(e, r);
    e->regs->rflags = flags;
    return EMULATE_NEXT;
}

static enum EmulateResult do_mov(struct Emulation *e)
{
    uint64_t m;
    if (e->insn.form != FORM_G_E)
        return operand_write(e, source(e)) ? EMULATE_NEXT : EMULATE_FAULT;
    if (!operand_read(e, false, &m))
        return EMULATE_FAULT;
    set_operand_g(e, m);
    return EMULATE_NEXT;
}

/* The register, which has the operand's size, holds the bytes in reverse order. */
static enum EmulateResult do_movbe(struct Emulation *e)
{
    unsigned unused = 64 - 8 * e->insn.size;
    uint64_t m;
    if (e->insn.form != FORM_G_E) {
        m = __builtin_bswap64(operand_g(e)) >> unused;
        return operand_write(e, m) ? EMULATE_NEXT : EMULATE_FAULT;
    }
    if (!operand_read(e, false, &m))
        return EMULATE_FAULT;
    set_operand_g(e, __builtin_bswap64(m) >> unused);
    return EMULATE_NEXT;
}

static enum EmulateResult do_extend(struct Emulation *e)
{
    uint64_t m;
    if (!operand_read(e, false, &m))
        return EMULATE_FAULT;
    set_operand_g(e, e->insn.op == OP_MOVSX ? (uint64_t)alu_signed(m, e->insn.memory_size) : m);
    return EMULATE_NEXT;
}

static enum EmulateResult do_xchg(struct Emulation *e)
{
    uint64_t m;
    if (!operand_read(e, true, &m) || !operand_write(e, operand_g(e)))
        return EMULATE_FAULT;
    set_operand_g(e, m);
    return EMULATE_NEXT;
}

static enum EmulateResult do_xadd(struct Emulation *e)
{
    uint64_t flags = e->regs->rflags, m;
    if (!operand_read(e, true, &m))
        return EMULATE_FAULT;
    if (!operand_write(e, alu_binary(OP_ADD, m, operand_g(e), e->insn.size, &flags)))
        return EMULATE_FAULT;
    set_operand_g(e, m);
    e->regs->rflags = flags;
    return EMULATE_NEXT;
}

/* It writes in any case. */
static enum EmulateResult do_cmpxchg(struct Emulation *e)
{
    unsigned size = e->insn.size;
    uint64_t flags = e->regs->rflags, rax = reg_get(e->regs, INSN_RAX, size), m;
    if (!operand_read(e, true, &m))
        return EMULATE_FAULT;
    alu_binary(OP_CMP, rax, m, size, &flags);
    if (!operand_write(e, rax == m ? operand_g(e) : m))
        return EMULATE_FAULT;
    if (rax != m)
        reg_set(e->regs, INSN_RAX, size, m);
    e->regs->rflags = flags;
    return EMULATE_NEXT;
}

static enum EmulateResult do_cmpxchg8b(struct Emulation *e)
{
    struct GuestRegs *r = e->regs;
    uint64_t old = r->rdx << 32 | (uint32_t)r->rax, m;
    if (!operand_read(e, true, &m) ||
        !operand_write(e, m == old ? r->rcx << 32 | (uint32_t)r->rbx : m))
        return EMULATE_FAULT;
    if (m == old) {
        r->rflags |= FL_ZF;
        return EMULATE_NEXT;
    }
    r->rflags &= ~(uint64_t)FL_ZF;
    reg_set(r, INSN_RAX, 4, m);
    reg_set(r, INSN_RDX, 4, m >> 32);
    return EMULATE_NEXT;
}

/* ---- One operand, shifts, bits ---- */

static enum EmulateResult do_unary(struct Emulation *e)
{
    uint64_t flags = e->regs->rflags, m;
    if (!operand_read(e, true, &m) ||
        !operand_write(e, alu_unary(e->insn.op, m, e->insn.size, &flags)))
        return EMULATE_FAULT;
    e->regs->rflags = flags;
    return EMULATE_NEXT;
}

static enum EmulateResult do_shift(struct Emulation *e)
{
    uint64_t flags = e->regs->rflags, m;
    if (!operand_read(e, true, &m) ||
        !operand_write(e, alu_shift(e->insn.op, m, source(e), e->insn.size, &flags)))
        return EMULATE_FAULT;
    e->regs->rflags = flags;
    return EMULATE_NEXT;
}

/* A bit number in a register counts from the operand's first bit on, without end. */
static enum EmulateResult do_bit(struct Emulation *e)
{
    struct Insn *insn = &e->insn;
    unsigned bits = 8 * insn->size;
    uint64_t flags = e->regs->rflags, m;
    int64_t bit = alu_signed(source(e), insn->size);
    if (insn->form == FORM_E_G)
        insn->displacement += (bit >> __builtin_ctz(bits)) * insn->size;
    bool writes = insn->op != OP_BT;
    if (!operand_read(e, writes, &m))
        return EMULATE_FAULT;
    m = alu_bit(insn->op, m, bit & (bits - 1), &flags);
    if (writes && !operand_write(e, m))
        return EMULATE_FAULT;
    e->regs->rflags = flags;
    return EMULATE_NEXT;
}

static enum EmulateResult do_multiply(struct Emulation *e)
{
    unsigned size = e->insn.size;
    uint64_t high, m;
    if (!operand_read(e, false, &m))
        return EMULATE_FAULT;
    uint64_t low = alu_multiply(reg_get(e->regs, INSN_RAX, size), m, size, e->insn.op == OP_IMUL,
                                &high, &e->regs->rflags);
    if (size == 1) {
        reg_set(e->regs, INSN_RAX, 2, high << 8 | low);
        return EMULATE_NEXT;
    }
    reg_set(e->regs, INSN_RAX, size, low);
    reg_set(e->regs, INSN_RDX, size, high);
    return EMULATE_NEXT;
}

static enum EmulateResult do_multiply_reg(struct Emulation *e)
{
    uint64_t high, m;
    if (!operand_read(e, false, &m))
        return EMULATE_FAULT;
    uint64_t by = e->insn.form == FORM_G_E_I ? (uint64_t)e->insn.imm : operand_g(e);
    set_operand_g(e, alu_multiply(m, by, e->insn.size, true, &high, &e->regs->rflags));
    return EMULATE_NEXT;
}

/* ---- Conditions ---- */

/* A CMOV reads in any case, and its register loses its upper half in any case. */
static enum EmulateResult do_cmov(struct Emulation *e)
{
    uint64_t m;
    if (!operand_read(e, false, &m))
        return EMULATE_FAULT;
    set_operand_g(e, alu_condition(e->insn.cond, e->regs->rflags) ? m : operand_g(e));
    return EMULATE_NEXT;
}

static enum EmulateResult do_setcc(struct Emulation *e)
{
    bool holds = alu_condition(e->insn.cond, e->regs->rflags);
    return operand_write(e, holds) ? EMULATE_NEXT : EMULATE_FAULT;
}

static enum EmulateResult do_nop(struct Emulation *e)
{
    uint64_t m;
    return operand_read(e, false, &m) ? EMULATE_NEXT : EMULATE_FAULT;
}

/* ---- The stack ---- */

static enum EmulateResult do_push(struct Emulation *e)
{
    const struct Insn *insn = &e->insn;
    unsigned width = stack_width(e);
    uint64_t rsp = reg_get(e->regs, INSN_RSP, width) - insn->size, v = insn->imm;
    if (insn->form == FORM_STACK_G)
        v = reg_get(e->regs, insn->reg, insn->size);
    else if (insn->form == FORM_E && !operand_read(e, false, &v))
        return EMULATE_FAULT;
    uint64_t va = linear(e, INSN_SS, alu_low(rsp, width));
    if (!memory_write(e, va, INSN_SS, insn->size, v))
        return EMULATE_FAULT;
    reg_set(e->regs, INSN_RSP, width, rsp);
    return EMULATE_NEXT;
}

/* SDM "POP": an operand addressed by RSP finds it incremented. */
static enum EmulateResult do_pop(struct Emulation *e)
{
    const struct Insn *insn = &e->insn;
    unsigned width = stack_width(e);
    uint64_t old = e->regs->rsp, v;
    uint64_t va = linear(e, INSN_SS, reg_get(e->regs, INSN_RSP, width));
    if (!memory_read(e, va, INSN_SS, insn->size, false, &v))
        return EMULATE_FAULT;
    reg_set(e->regs, INSN_RSP, width, old + insn->size);
    if (insn->form == FORM_STACK_G) {
        reg_set(e->regs, insn->reg, insn->size, v);
        return EMULATE_NEXT;
    }
    if (operand_write(e, v))
        return EMULATE_NEXT;
    e->regs->rsp = old;
    return EMULATE_FAULT;
}

/* ---- Near jumps ---- */

static enum EmulateResult jump(struct Emulation *e, uint64_t to)
{
    if (!memory_is_canonical(e, to, 1, INSN_DS))
        return EMULATE_FAULT;
    e->regs->rip = to;
    return EMULATE_AT_RIP;
}

static enum EmulateResult do_jmp(struct Emulation *e)
{
    uint64_t to;
    return operand_read(e, false, &to) ? jump(e, to) : EMULATE_FAULT;
}

static enum EmulateResult do_call(struct Emulation *e)
{
    const struct Insn *insn = &e->insn;
    unsigned width = stack_width(e);
    uint64_t rsp = reg_get(e->regs, INSN_RSP, width) - insn->size;
    uint64_t next = e->regs->rip + insn->length, to = alu_low(next + insn->imm, insn->size);
    if (insn->form == FORM_E && !operand_read(e, false, &to))
        return EMULATE_FAULT;
    uint64_t va = linear(e, INSN_SS, alu_low(rsp, width));
    if (!memory_is_canonical(e, to, 1, INSN_DS) || !memory_write(e, va, INSN_SS, insn->size, next))
        return EMULATE_FAULT;
    reg_set(e->regs, INSN_RSP, width, rsp);
    return jump(e, to);
}

static enum EmulateResult do_ret(struct Emulation *e)
{
    unsigned width = stack_width(e);
    uint64_t rsp = reg_get(e->regs, INSN_RSP, width), to;
    if (!memory_read(e, linear(e, INSN_SS, rsp), INSN_SS, e->insn.size, false, &to) ||
        !memory_is_canonical(e, to, 1, INSN_DS))
        return EMULATE_FAULT;
    reg_set(e->regs, INSN_RSP, width, rsp + e->insn.size);
    return jump(e, to);
}

/* ---- Strings ---- */

/* Where an element is: in DS or another segment at rSI, or in ES at rDI. */
static uint64_t element(const struct Emulation *e, unsigned reg)
{
    unsigned segment = reg == INSN_RDI ? INSN_ES : e->insn.segment;
    return linear(e, segment, reg_get(e->regs, reg, e->insn.address_size));
}

static bool read_element(struct Emulation *e, unsigned reg, uint64_t *v)
{
    return memory_read(e, element(e, reg), INSN_DS, e->insn.size, false, v);
}

static bool write_element(struct Emulation *e, uint64_t v)
{
    return memory_write(e, element(e, INSN_RDI), INSN_ES, e->insn.size, v);
}

static bool uses(unsigned op, unsigned reg)
{
    if (reg == INSN_RSI)
        return op == OP_MOVS || op == OP_CMPS || op == OP_LODS;
    return op != OP_LODS;
}

static void step_register(struct Emulation *e, unsigned reg)
{
    uint64_t size = e->insn.size, by = e->regs->rflags & FL_DF ? -size : size;
    unsigned width = e->insn.address_size;
    if (uses(e->insn.op, reg))
        reg_set(e->regs, reg, width, reg_get(e->regs, reg, width) + by);
}

/* One element; false: a fault. */
static bool do_element(struct Emulation *e)
{
    unsigned op = e->insn.op, size = e->insn.size;
    uint64_t a = reg_get(e->regs, INSN_RAX, size), b = 0;
    if (uses(op, INSN_RSI) && !read_element(e, INSN_RSI, &a))
        return false;
    if ((op == OP_CMPS || op == OP_SCAS) && !read_element(e, INSN_RDI, &b))
        return false;
    if ((op == OP_MOVS || op == OP_STOS) && !write_element(e, a))
        return false;
    if (op == OP_LODS)
        reg_set(e->regs, INSN_RAX, size, a);
    else if (op == OP_CMPS || op == OP_SCAS)
        alu_binary(OP_CMP, a, b, size, &e->regs->rflags);
    return true;
}

/* With REP: REPE and REPNE of a comparison end at the first that is not, or is, equal. */
static bool repeats(const struct Emulation *e, uint64_t count)
{
    bool compares = e->insn.op == OP_CMPS || e->insn.op == OP_SCAS;
    bool equal = e->regs->rflags & FL_ZF;
    return count != 0 && (!compares || equal == (e->insn.rep == 0xf3));
}

/* One element an exit, so that interrupts come in between as they would. */
static enum EmulateResult do_string(struct Emulation *e)
{
    unsigned width = e->insn.address_size;
    uint64_t count = reg_get(e->regs, INSN_RCX, width);
    if (e->insn.rep && count == 0)
        return EMULATE_NEXT;
    if (!do_element(e))
        return EMULATE_FAULT;
    step_register(e, INSN_RSI);
    step_register(e, INSN_RDI);
    if (!e->insn.rep)
        return EMULATE_NEXT;
    reg_set(e->regs, INSN_RCX, width, --count);
    return repeats(e, count) ? EMULATE_AT_RIP : EMULATE_NEXT;
}

/* ---- All of them ---- */

static enum EmulateResult (*const handlers[])(struct Emulation *e) = {
    [OP_ADD... OP_CMP] = do_binary,
    [OP_ROL... OP_SAR] = do_shift,
    [OP_BT... OP_BTC] = do_bit,
    [OP_TEST] = do_binary,
    [OP_MOV] = do_mov,
    [OP_MOVZX] = do_extend,
    [OP_MOVSX] = do_extend,
    [OP_MOVBE] = do_movbe,
    [OP_XCHG] = do_xchg,
    [OP_XADD] = do_xadd,
    [OP_CMPXCHG] = do_cmpxchg,
    [OP_CMPXCHG8B] = do_cmpxchg8b,
    [OP_INC... OP_NEG] = do_unary,
    [OP_MUL] = do_multiply,
    [OP_IMUL] = do_multiply,
    [OP_IMUL_REG] = do_multiply_reg,
    [OP_CMOV] = do_cmov,
    [OP_SETCC] = do_setcc,
    [OP_PUSH] = do_push,
    [OP_POP] = do_pop,
    [OP_CALL] = do_call,
    [OP_JMP] = do_jmp,
    [OP_RET] = do_ret,
    [OP_NOP] = do_nop,
    [OP_MOVS... OP_SCAS] = do_string,
};

static enum EmulateResult raise(struct Emulation *e, uint8_t vector)
{
    e->fault = (struct Fault){ .vector = vector };
    return EMULATE_FAULT;
}

/* The bytes end too early: the next one is on a page that cannot be read as code, or in no memory,
 * where everything reads ones. FF FF is an invalid instruction. */
static enum EmulateResult fetch_more(struct Emulation *e)
{
    const struct GuestInsn *code = e->code;
    if (code->nbytes == GUEST_INSN_MAX)
        return raise(e, T_GPFLT); /* too long */
    uint64_t va = e->regs->rip + code->nbytes;
    if (code->bits != 64)
        va = (uint32_t)(code->segment_base[1] + va);
    if (!memory_is_canonical(e, va, 1, INSN_DS))
        return EMULATE_FAULT;
    return e->memory->fetch(e, va) ? raise(e, T_ILLOP) : EMULATE_FAULT;
}

enum EmulateResult emulate(struct Emulation *e)
{
    const struct GuestInsn *code = e->code;
    switch (insn_decode(&e->insn, code->bytes, code->nbytes, code->bits)) {
    case DECODED:
        return handlers[e->insn.op](e);
    case DECODE_SHORT:
        return fetch_more(e);
    case DECODE_REGISTER:
        return EMULATE_AT_RIP; /* again: another CPU has changed the code after the access */
    default:
        return EMULATE_UNKNOWN;
    }
}
