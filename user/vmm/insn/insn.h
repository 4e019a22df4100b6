/*
 * Instructions that touch a device's memory: decoded here, out of the bytes that the VMM has read
 * (SDM volume 2, "Instruction Format" and "Opcode Map"). Only those with an operand in memory are
 * known, and of these only what works on general registers: XMM and x87 registers are out of a
 * monitor's reach.
 */
#ifndef JOS_USER_VMM_INSN_INSN_H
#define JOS_USER_VMM_INSN_INSN_H

#include <inc/vmm.h>

enum InsnOp {
    OP_NONE, /* not known */
    /* In the order of bits 5:3 of their opcodes, which is that of group 1. */
    OP_ADD,
    OP_OR,
    OP_ADC,
    OP_SBB,
    OP_AND,
    OP_SUB,
    OP_XOR,
    OP_CMP,
    /* In the order of group 2. */
    OP_ROL,
    OP_ROR,
    OP_RCL,
    OP_RCR,
    OP_SHL,
    OP_SHR,
    OP_SAL, /* the same as SHL */
    OP_SAR,
    /* In the order of bits 4:3 of the opcodes 0F A3 to BB, and of group 8. */
    OP_BT,
    OP_BTS,
    OP_BTR,
    OP_BTC,
    OP_TEST,
    OP_MOV,
    OP_MOVZX,
    OP_MOVSX,
    OP_MOVBE,
    OP_XCHG,
    OP_XADD,
    OP_CMPXCHG,
    OP_CMPXCHG8B,
    OP_INC,
    OP_DEC,
    OP_NOT,
    OP_NEG,
    OP_MUL,
    OP_IMUL, /* of the accumulator */
    OP_IMUL_REG,
    OP_CMOV,
    OP_SETCC,
    OP_PUSH,
    OP_POP,
    OP_CALL,
    OP_JMP,
    OP_RET,
    OP_NOP, /* touches its operand, and changes nothing */
    /* String instructions; nothing else is after them. */
    OP_MOVS,
    OP_CMPS,
    OP_STOS,
    OP_LODS,
    OP_SCAS,
};

/* Where the operands are: E is the one in memory, G the register of the ModR/M byte. */
enum InsnForm {
    FORM_E,   /* one operand */
    FORM_E_G, /* the first one is the destination */
    FORM_G_E,
    FORM_E_S,  /* reg is the number of a segment register, whose selector is stored */
    FORM_E_I,  /* an immediate */
    FORM_E_1,  /* the number 1 */
    FORM_E_CL, /* register CL */
    FORM_G_E_I,
    FORM_STRING,
    /* Memory is the stack's only: PUSH and POP of a register, and RET; PUSH of a number, and CALL.
     */
    FORM_STACK_G,
    FORM_STACK_I,
};

/* Registers by number: 0 to 15 as instructions encode them. */
#define INSN_RAX  0
#define INSN_RCX  1
#define INSN_RDX  2
#define INSN_RBX  3
#define INSN_RSP  4
#define INSN_RBP  5
#define INSN_RSI  6
#define INSN_RDI  7
#define INSN_RIP  16 /* as a base */
#define INSN_NONE 0xff

/* Segment registers by number. */
#define INSN_ES 0
#define INSN_SS 2
#define INSN_DS 3

struct Insn {
    uint8_t length;      /* bytes */
    uint8_t op;          /* enum InsnOp */
    uint8_t form;        /* enum InsnForm */
    uint8_t size;        /* of the operands, bytes */
    uint8_t memory_size; /* of the one in memory; differs from `size` for MOVZX and MOVSX */
    uint8_t address_size;
    uint8_t reg;                /* G */
    bool high;                  /* G is AH, CH, DH or BH: bits 15:8 of register reg - 4 */
    uint8_t rep;                /* the prefix 0xf2 or 0xf3; 0: none */
    uint8_t cond;               /* of SETcc and CMOVcc */
    uint8_t segment;            /* of E */
    uint8_t base, index, scale; /* E: base + index * scale + displacement */
    int64_t displacement;
    int64_t imm; /* sign extended */
};

enum DecodeResult {
    DECODED,
    DECODE_SHORT,    /* its bytes end too early */
    DECODE_UNKNOWN,  /* not an instruction that is known here */
    DECODE_REGISTER, /* known, but of registers only: it cannot have touched memory */
};

/* Decode the instruction that begins with n bytes of code of 16, 32 or 64 bits. */
enum DecodeResult insn_decode(struct Insn *insn, const uint8_t *bytes, unsigned n, unsigned bits);

#endif
