/*
 * encodings BITS ONE_IN SEED FILE: instructions that the decoder knows, for comparison with another
 * one. Encodings of all opcodes, prefixes, ModR/M and SIB bytes are generated, one in ONE_IN of
 * them at random; those with an operand in memory go to FILE, one right after the other, and what
 * the decoder makes of them goes to standard output, a line each:
 *
 *     ADDRESS <tab> NAME <tab> OPERANDS
 *
 * An operand in memory is SIZE@SEGMENT:BASE:INDEX*SCALE:DISPLACEMENT.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <user/vmm/host/random.h>
#include <user/vmm/insn/alu.h>
#include <user/vmm/insn/insn.h>

static struct Generator {
    unsigned bits, one_in;
    FILE *file;
    uint64_t address;
    uint64_t known, known_register, unknown;
} generator;

/* ---- Names, as they are in Intel's manual ---- */

static const char *const op_names[] = {
    [OP_ADD] = "add",
    [OP_OR] = "or",
    [OP_ADC] = "adc",
    [OP_SBB] = "sbb",
    [OP_AND] = "and",
    [OP_SUB] = "sub",
    [OP_XOR] = "xor",
    [OP_CMP] = "cmp",
    [OP_ROL] = "rol",
    [OP_ROR] = "ror",
    [OP_RCL] = "rcl",
    [OP_RCR] = "rcr",
    [OP_SHL] = "shl",
    [OP_SHR] = "shr",
    [OP_SAL] = "shl",
    [OP_SAR] = "sar",
    [OP_BT] = "bt",
    [OP_BTS] = "bts",
    [OP_BTR] = "btr",
    [OP_BTC] = "btc",
    [OP_TEST] = "test",
    [OP_MOV] = "mov",
    [OP_MOVZX] = "movzx",
    [OP_MOVSX] = "movsx",
    [OP_MOVBE] = "movbe",
    [OP_XCHG] = "xchg",
    [OP_XADD] = "xadd",
    [OP_CMPXCHG] = "cmpxchg",
    [OP_CMPXCHG8B] = "cmpxchg8b",
    [OP_INC] = "inc",
    [OP_DEC] = "dec",
    [OP_NOT] = "not",
    [OP_NEG] = "neg",
    [OP_MUL] = "mul",
    [OP_IMUL] = "imul",
    [OP_IMUL_REG] = "imul",
    [OP_CMOV] = "cmov",
    [OP_SETCC] = "set",
    [OP_PUSH] = "push",
    [OP_POP] = "pop",
    [OP_CALL] = "call",
    [OP_JMP] = "jmp",
    [OP_RET] = "ret",
    [OP_NOP] = "clflush",
    [OP_MOVS] = "movs",
    [OP_CMPS] = "cmps",
    [OP_STOS] = "stos",
    [OP_LODS] = "lods",
    [OP_SCAS] = "scas",
};

static const char *const conditions[] = { "o", "no", "b", "ae", "e", "ne", "be", "a",
                                          "s", "ns", "p", "np", "l", "ge", "le", "g" };
static const char *const sizes[] = { [1] = "BYTE", [2] = "WORD", [4] = "DWORD", [8] = "QWORD" };
static const char *const segments[] = { "es", "cs", "ss", "ds", "fs", "gs" };
static const char *const high_names[] = { "ah", "ch", "dh", "bh" };
static const char *const low_names[] = { "al", "cl", "dl", "bl", "spl", "bpl", "sil", "dil" };
static const char *const word_names[] = { "ax", "cx", "dx", "bx", "sp", "bp", "si", "di" };

/* The name of a register, in one of a few buffers. */
static const char *reg_name(unsigned n, unsigned size)
{
    static char names[4][8];
    static unsigned next;
    char *name = names[next++ % 4];
    if (n == INSN_NONE)
        snprintf(name, 8, "-");
    else if (n == INSN_RIP)
        snprintf(name, 8, "%s", size == 8 ? "rip" : "eip");
    else if (n >= 8)
        snprintf(name, 8, "r%u%s", n, size == 1 ? "b" : size == 2 ? "w" : size == 4 ? "d" : "");
    else if (size == 1)
        snprintf(name, 8, "%s", low_names[n]);
    else
        snprintf(name, 8, "%s%s", size == 2 ? "" : size == 4 ? "e" : "r", word_names[n]);
    return name;
}

/* ---- Operands ---- */

static void put_memory(const struct Insn *i, unsigned segment, unsigned base)
{
    bool is_string = i->form == FORM_STRING;
    unsigned index = is_string ? INSN_NONE : i->index;
    printf("%s@%s:%s:%s*%u:%" PRIx64, sizes[i->memory_size], segments[segment],
           reg_name(base, i->address_size), reg_name(index, i->address_size),
           index == INSN_NONE ? 1 : i->scale,
           is_string ? 0 : alu_low(i->displacement, i->address_size));
}

static void put_e(const struct Insn *i)
{
    put_memory(i, i->segment, i->base);
}

static void put_g(const struct Insn *i)
{
    printf("%s", i->high ? high_names[i->reg - 4] : reg_name(i->reg, i->size));
}

/* Counts of shifts and numbers of bits are bytes. */
static void put_immediate(const struct Insn *i)
{
    bool is_byte = i->op >= OP_ROL && i->op <= OP_BTC;
    printf("0x%" PRIx64, alu_low(i->imm, is_byte ? 1 : i->size));
}

/* objdump takes all of 16-bit code for one of many segments. */
static uint64_t call_target(const struct Insn *i, uint64_t address)
{
    uint64_t next = address + i->length;
    uint64_t segment = generator.bits == 16 && i->size == 2 ? next - alu_low(next, 2) : 0;
    return segment + alu_low(next + i->imm, i->size);
}

static void put_stack(const struct Insn *i, uint64_t address)
{
    if (i->op == OP_CALL)
        printf("0x%" PRIx64, call_target(i, address));
    else if (i->form == FORM_STACK_I)
        put_immediate(i);
    else if (i->op != OP_RET)
        put_g(i);
}

static void put_string_operands(const struct Insn *i)
{
    const char *rax = reg_name(INSN_RAX, i->size);
    if (i->op == OP_LODS || i->op == OP_SCAS)
        printf("%s,", rax);
    if (i->op == OP_CMPS || i->op == OP_LODS)
        put_memory(i, i->segment, INSN_RSI);
    if (i->op == OP_CMPS)
        putchar(',');
    if (i->op != OP_LODS)
        put_memory(i, INSN_ES, INSN_RDI);
    if (i->op == OP_STOS)
        printf(",%s", rax);
    if (i->op == OP_MOVS) {
        putchar(',');
        put_memory(i, i->segment, INSN_RSI);
    }
}

static void put_operands(const struct Insn *i, uint64_t address)
{
    switch (i->form) {
    case FORM_STRING:
        put_string_operands(i);
        return;
    case FORM_STACK_G:
    case FORM_STACK_I:
        put_stack(i, address);
        return;
    case FORM_G_E:
    case FORM_G_E_I:
        put_g(i);
        putchar(',');
    }
    put_e(i);
    if (i->form == FORM_E_G) {
        putchar(',');
        put_g(i);
    } else if (i->form == FORM_E_S) {
        printf(",%s", segments[i->reg]);
    } else if (i->form == FORM_E_I || i->form == FORM_G_E_I) {
        putchar(',');
        put_immediate(i);
    } else if (i->form == FORM_E_1 || i->form == FORM_E_CL) {
        printf(i->form == FORM_E_1 ? ",1" : ",cl");
    }
}

static void put_name(const struct Insn *i)
{
    if (i->rep && i->form == FORM_STRING)
        printf(i->rep == 0xf2 ? "repnz " : i->op == OP_CMPS || i->op == OP_SCAS ? "repz " : "rep ");
    bool has_condition = i->op == OP_CMOV || i->op == OP_SETCC;
    printf("%s%s", op_names[i->op], has_condition ? conditions[i->cond] : "");
    if (i->op == OP_MOVSX && i->memory_size == 4)
        putchar('d');
}

/* ---- Encodings ---- */

static void take(const uint8_t *bytes)
{
    struct Generator *g = &generator;
    struct Insn insn;
    enum DecodeResult r = insn_decode(&insn, bytes, GUEST_INSN_MAX, g->bits);
    g->unknown += r != DECODED && r != DECODE_REGISTER;
    g->known_register += r == DECODE_REGISTER;
    if (r != DECODED)
        return;
    g->known++;
    printf("%" PRIx64 "\t", g->address);
    put_name(&insn);
    putchar('\t');
    put_operands(&insn, g->address);
    putchar('\n');
    fwrite(bytes, 1, insn.length, g->file);
    g->address += insn.length;
}

/* An opcode and a byte more after these prefixes; what follows is random, with many of the numbers
 * at edges. */
static void take_opcode(const uint8_t *prefixes, unsigned nprefixes, const uint8_t *opcode,
                        unsigned nopcode)
{
    static const uint8_t edges[] = { 0, 1, 0x7f, 0x80, 0xff, 0x25, 0x24, 0x65 };
    uint8_t bytes[32];
    unsigned n = nprefixes;
    if (random_below(generator.one_in) != 0)
        return;
    memcpy(bytes, prefixes, n);
    memcpy(bytes + n, opcode, nopcode);
    for (n += nopcode; n < sizeof(bytes); n++)
        bytes[n] = random_below(2) ? random_bits() : edges[random_below(sizeof(edges))];
    take(bytes);
}

/* A list of prefixes ends with 0. F2 and LOCK are not together: objdump has names of its own for
 * them. */
static const uint8_t prefix_lists[][4] = {
    { 0 },          { 0x66 },       { 0x67 },
    { 0x66, 0x67 }, { 0xf2 },       { 0xf3 },
    { 0x66, 0xf2 }, { 0x67, 0xf3 }, { 0xf0 },
    { 0x66, 0xf0 }, { 0x26 },       { 0x2e },
    { 0x36 },       { 0x3e },       { 0x64 },
    { 0x65 },       { 0x67, 0x64 }, { 0x66, 0x65 },
    { 0x65, 0xf3 }, { 0x36, 0x67 }, { 0x67, 0x36, 0x66 },
};

/* Such a byte is no opcode. */
static bool is_prefix(uint8_t byte)
{
    return (generator.bits == 64 && (byte & 0xf0) == 0x40) || (byte & 0xe7) == 0x26 ||
           (byte >= 0x64 && byte <= 0x67) || byte == 0xf0 || byte == 0xf2 || byte == 0xf3;
}

static void take_all_opcodes(const uint8_t *prefixes, unsigned n)
{
    for (unsigned opcode = 0; opcode < 256; opcode++) {
        for (unsigned next = 0; next < 256; next++) {
            if (!is_prefix(opcode))
                take_opcode(prefixes, n, (const uint8_t[]){ opcode, next }, 2);
            take_opcode(prefixes, n, (const uint8_t[]){ 0x0f, opcode, next }, 3);
            take_opcode(prefixes, n, (const uint8_t[]){ 0x0f, 0x38, opcode, next }, 4);
        }
    }
}

static void take_all(void)
{
    for (size_t i = 0; i < sizeof(prefix_lists) / sizeof(prefix_lists[0]); i++) {
        uint8_t bytes[8];
        unsigned n = strlen((const char *)prefix_lists[i]);
        memcpy(bytes, prefix_lists[i], n);
        take_all_opcodes(bytes, n);
        for (unsigned rex = 0x40; generator.bits == 64 && rex < 0x50; rex++) {
            bytes[n] = rex;
            take_all_opcodes(bytes, n + 1);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc != 5 || !(generator.file = fopen(argv[4], "wb"))) {
        fprintf(stderr, "usage: encodings BITS ONE_IN SEED FILE\n");
        return 2;
    }
    generator.bits = atoi(argv[1]);
    generator.one_in = atoi(argv[2]);
    random_start(strtoull(argv[3], NULL, 10));
    take_all();
    fprintf(stderr,
            "%u bits: %" PRIu64 " with an operand in memory, %" PRIu64
            " with registers only, %" PRIu64 " not known\n",
            generator.bits, generator.known, generator.known_register, generator.unknown);
    return fclose(generator.file) == 0 && fflush(stdout) == 0 ? 0 : 1;
}
