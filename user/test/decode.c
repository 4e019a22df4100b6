/*
 * The monitor's decoder and what it does with instructions (user/vmm/insn/). Those of the list
 * below are executed twice on the same memory with the same registers: by this CPU, and by the
 * monitor's code. Whatever the manual defines has to be the same afterwards.
 */
#include <inc/mmu.h>
#include <inc/trap.h>
#include <user/vmm/insn/alu.h>
#include <user/vmm/insn/emulate.h>
#include "test.h"

#define ROUNDS     20
#define FUZZ       200000
#define ARENA      (2 * PGSIZE)
#define ARITHMETIC (FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_OF)

/* ---- Instructions for both ---- */

/* clang-format off */
#define CASE(text)                                                                           \
    ".text\n1: " text "\n2: jmp native_return\n"                                             \
    ".section .rodata.names,\"a\"\n3: .asciz \"" text "\"\n"                                 \
    ".section .rodata.cases,\"a\"\n.quad 1b, 2b, 3b\n"
#define CASES_ALU(name)                                                                  \
    CASE(name "b %al, (%rbx)") CASE(name "w %dx, 2(%rbx)") CASE(name "l %r9d, 0x200(%rbx)") \
    CASE(name "q %rdx, -8(%rbx)") CASE(name "b (%rbx), %dh") CASE(name "l (%rbx), %eax")    \
    CASE(name "q (%rbx,%rcx,8), %r10") CASE(name "b $0x81, (%rbx)")                        \
    CASE(name "l $-3, (%rbx)") CASE(name "q $0x7fffffff, (%rbx)") CASE(name "w $0x1234, (%rbx)")
#define CASES_SHIFT(name)                                                                \
    CASE(name "b (%rbx)") CASE(name "w %cl, (%rbx)") CASE(name "l $5, (%rbx)")              \
    CASE(name "q %cl, (%rbx)") CASE(name "b %cl, (%rbx)") CASE(name "l (%rbx)")
#define CASES_BIT(name)                                                                  \
    CASE(name "w %cx, (%rbx)") CASE(name "l %ecx, (%rbx)") CASE(name "q $63, (%rbx)")       \
    CASE(name "q %rcx, (%rbx)") CASE(name "l %r11d, (%rbx)")
#define CASES_UNARY(name)                                                                \
    CASE(name "b (%rbx)") CASE(name "w (%rbx)") CASE(name "l (%rbx)") CASE("lock " name "q (%rbx)")
#define CASES_STRING(name)                                                               \
    CASE(name "b") CASE(name "w") CASE(name "l") CASE(name "q")
#define CASES_COND(cc)                                                                   \
    CASE("set" cc " (%rbx)") CASE("cmov" cc "l (%rbx), %eax") CASE("cmov" cc "q (%rbx), %r8")

struct Case {
    const uint8_t *code, *end;
    const char *name;
};
extern const struct Case cases[], cases_end[];

asm(".section .rodata.cases,\"a\"\n.balign 8\ncases:\n"
    CASES_ALU("add") CASES_ALU("or") CASES_ALU("adc") CASES_ALU("sbb") CASES_ALU("and")
    CASES_ALU("sub") CASES_ALU("xor") CASES_ALU("cmp")
    CASES_SHIFT("rol") CASES_SHIFT("ror") CASES_SHIFT("rcl") CASES_SHIFT("rcr")
    CASES_SHIFT("shl") CASES_SHIFT("shr") CASES_SHIFT("sar")
    CASES_BIT("bt") CASES_BIT("bts") CASES_BIT("btr") CASES_BIT("btc")
    CASES_UNARY("inc") CASES_UNARY("dec") CASES_UNARY("not") CASES_UNARY("neg")
    CASE("testb %al, (%rbx)") CASE("testq %rdx, (%rbx)") CASE("testb $0x40, (%rbx)")
    CASE("testl $0x12345678, (%rbx)") CASE("testw $0x8001, (%rbx)")
    CASE("movb %ah, (%rbx)") CASE("movb %sil, (%rbx)") CASE("movb (%rbx), %ch")
    CASE("movb (%rbx), %r12b") CASE("movw (%rbx), %ax") CASE("movl (%rbx), %eax")
    CASE("movq (%rbx), %r15") CASE("movl %r15d, (%rbx)") CASE("movq %rax, (%r13)")
    CASE("movb $0x55, (%rbx)") CASE("movw $0x5566, (%rbx)") CASE("movl $0x55667788, (%rbx)")
    CASE("movq $-2, 0x40(%rbx)") CASE("movq $-2, 0x400(%rbx,%rcx,2)")
    CASE("movl 8(%rsp), %edx") CASE("movl %edx, 4(%rbp,%rcx)") CASE("movl (%rbp), %edx")
    CASE("movl arena+16(%rip), %eax") CASE("movb $7, arena+16(%rip)")
    CASE("movl %eax, arena(,%rcx,4)") CASE("movl (%ebx), %eax") CASE("movl %eax, 4(%ebx,%ecx)")
    CASE("movabs %al, arena+24") CASE("movabs arena+24, %rax") CASE("movabs arena+24, %eax")
    CASE("movabs arena+24, %ax") CASE("movnti %rax, (%rbx)") CASE("clflush (%rbx)")
    CASE("movzbl (%rbx), %eax") CASE("movzbw (%rbx), %ax") CASE("movzwq (%rbx), %rax")
    CASE("movsbl (%rbx), %eax") CASE("movsbq (%rbx), %r9") CASE("movswl (%rbx), %edx")
    CASE("movslq (%rbx), %rdx") CASE("movsbw (%rbx), %dx")
    CASE("xchgb %al, (%rbx)") CASE("xchgb %dh, (%rbx)") CASE("xchgl %eax, (%rbx)")
    CASE("xchgq %r8, (%rbx)") CASE("lock xaddb %al, (%rbx)") CASE("xaddl %edx, (%rbx)")
    CASE("lock xaddq %r9, (%rbx)") CASE("cmpxchgb %dl, (%rbx)") CASE("cmpxchgl %edx, (%rbx)")
    CASE("lock cmpxchgq %rdx, (%rbx)") CASE("movl (%rbx), %eax; lock cmpxchgl %edx, (%rbx)")
    CASE("lock cmpxchg8b (%rbx)")
    CASE("mulb (%rbx)") CASE("mulw (%rbx)") CASE("mull (%rbx)") CASE("mulq (%rbx)")
    CASE("imulb (%rbx)") CASE("imulw (%rbx)") CASE("imull (%rbx)") CASE("imulq (%rbx)")
    CASE("imulw (%rbx), %dx") CASE("imull (%rbx), %eax") CASE("imulq (%rbx), %r9")
    CASE("imulq $-3, (%rbx), %rax") CASE("imull $0x12345, (%rbx), %edx")
    CASE("imulw $0x1234, (%rbx), %dx")
    CASES_COND("o") CASES_COND("no") CASES_COND("c") CASES_COND("nc") CASES_COND("z")
    CASES_COND("nz") CASES_COND("be") CASES_COND("a") CASES_COND("s") CASES_COND("ns")
    CASES_COND("p") CASES_COND("np") CASES_COND("l") CASES_COND("ge") CASES_COND("le")
    CASES_COND("g")
    CASE("pushq (%rbx)") CASE("pushw (%rbx)") CASE("pushq 8(%rsp)") CASE("pushq $-5")
    CASE("pushq $0x12345") CASE("pushq %r9") CASE("pushq %rsp") CASE("popq (%rbx)")
    CASE("popw (%rbx)") CASE("popq 8(%rsp)") CASE("popq %rax") CASE("popq %r14")
    CASE("popw %dx") CASE("popq %rsp")
    CASES_STRING("movs") CASES_STRING("cmps") CASES_STRING("stos") CASES_STRING("lods")
    CASES_STRING("scas") CASES_STRING("rep movs") CASES_STRING("rep stos")
    CASES_STRING("rep lods") CASES_STRING("repe cmps") CASES_STRING("repne cmps")
    CASES_STRING("repe scas") CASES_STRING("repne scas")
    ".section .rodata.cases,\"a\"\ncases_end:\n.text\n");
/* clang-format on */

uint8_t arena[ARENA] __attribute__((aligned(PGSIZE)));

/* ---- The CPU ---- */

struct GuestRegs native; /* before the instruction, and after it */
uint64_t native_stack, native_code;
void native_run(void);

/* The order of registers is that of struct GuestRegs; rip stays as it is. */
asm(".text\n"
    "native_run:\n"
    "    pushq %rbx; pushq %rbp; pushq %r12; pushq %r13; pushq %r14; pushq %r15\n"
    "    pushq native+136(%rip)\n" /* rflags */
    "    popfq\n"
    "    movq %rsp, native_stack(%rip)\n"
    "    movq native+0(%rip), %r15; movq native+8(%rip), %r14; movq native+16(%rip), %r13\n"
    "    movq native+24(%rip), %r12; movq native+32(%rip), %r11; movq native+40(%rip), %r10\n"
    "    movq native+48(%rip), %r9; movq native+56(%rip), %r8; movq native+64(%rip), %rbp\n"
    "    movq native+72(%rip), %rdi; movq native+80(%rip), %rsi; movq native+88(%rip), %rdx\n"
    "    movq native+96(%rip), %rcx; movq native+104(%rip), %rbx; movq native+112(%rip), %rax\n"
    "    movq native+128(%rip), %rsp\n"
    "    jmp *native_code(%rip)\n"
    "native_return:\n"
    "    movq %rsp, native+128(%rip)\n"
    "    movq native_stack(%rip), %rsp\n"
    "    movq %r15, native+0(%rip); movq %r14, native+8(%rip); movq %r13, native+16(%rip)\n"
    "    movq %r12, native+24(%rip); movq %r11, native+32(%rip); movq %r10, native+40(%rip)\n"
    "    movq %r9, native+48(%rip); movq %r8, native+56(%rip); movq %rbp, native+64(%rip)\n"
    "    movq %rdi, native+72(%rip); movq %rsi, native+80(%rip); movq %rdx, native+88(%rip)\n"
    "    movq %rcx, native+96(%rip); movq %rbx, native+104(%rip); movq %rax, native+112(%rip)\n"
    "    pushfq\n"
    "    popq native+136(%rip)\n"
    "    cld\n"
    "    popq %r15; popq %r14; popq %r13; popq %r12; popq %rbp; popq %rbx\n"
    "    ret\n");
_Static_assert(offsetof(struct GuestRegs, rax) == 112 && offsetof(struct GuestRegs, rsp) == 128 &&
                   offsetof(struct GuestRegs, rflags) == 136,
               "native_run knows the order");

/* ---- The monitor's code ---- */

static uint64_t fail_at; /* accesses from this one on fail; 0: none */
static uint64_t accesses;
static uint64_t last_va;

static bool passes(struct Emulation *e, uint64_t va)
{
    last_va = va;
    e->fault = (struct Fault){ .vector = T_PGFLT, .address = va };
    return ++accesses < fail_at || fail_at == 0;
}

static bool in_arena(uint64_t va, unsigned size)
{
    return va >= (uintptr_t)arena && va + size <= (uintptr_t)arena + ARENA;
}

static bool read_arena(struct Emulation *e, uint64_t va, unsigned size, bool writes,
                       uint64_t *value)
{
    (void)writes;
    *value = 0;
    if (!passes(e, va))
        return false;
    CHECK(in_arena(va, size), "%u bytes at 0x%lx are read", size, va);
    memcpy(value, (void *)va, size);
    return true;
}

static bool write_arena(struct Emulation *e, uint64_t va, unsigned size, uint64_t value)
{
    if (!passes(e, va))
        return false;
    CHECK(in_arena(va, size), "%u bytes at 0x%lx are written", size, va);
    memcpy((void *)va, &value, size);
    return true;
}

static bool fetch_arena(struct Emulation *e, uint64_t va)
{
    return passes(e, va);
}

static const struct EmulateMemory arena_memory = { read_arena, write_arena, fetch_arena };

static struct GuestInsn code_of(const uint8_t *bytes, size_t n, unsigned bits)
{
    struct GuestInsn code = {
        .nbytes = MIN(n, (size_t)GUEST_INSN_MAX), .bits = bits, .cpl = 3, .stack_bits = bits
    };
    memcpy(code.bytes, bytes, code.nbytes);
    return code;
}

/* Emulate code up to its end, with regs->rip at its begin. */
static enum EmulateResult emulate_all(const struct Case *c, struct GuestRegs *regs)
{
    enum EmulateResult r = EMULATE_NEXT;
    regs->rip = (uintptr_t)c->code;
    while ((r == EMULATE_NEXT || r == EMULATE_AT_RIP) && regs->rip < (uintptr_t)c->end) {
        const uint8_t *at = (const uint8_t *)regs->rip;
        struct GuestInsn code = code_of(at, c->end - at, 64);
        struct Emulation e = { .memory = &arena_memory, .code = &code, .regs = regs };
        r = emulate(&e);
        CHECK(r != EMULATE_UNKNOWN, "%s is not known", c->name);
        if (r == EMULATE_NEXT)
            regs->rip += e.insn.length;
    }
    return r;
}

/* ---- Comparing ---- */

static uint64_t seed = 1;

static uint64_t random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* Registers that instructions of the list compute with are anything, and those that they address
 * with are inside of the arena. */
static struct GuestRegs random_regs(void)
{
    uintptr_t middle = (uintptr_t)arena + PGSIZE;
    struct GuestRegs r = { .rax = random(),
                           .rdx = random(),
                           .rcx = random() & 63,
                           .rbx = middle + (random() & 0xff),
                           .rsi = middle + 0x400 + (random() & 0xff),
                           .rdi = middle - 0x400 + (random() & 0xff),
                           .rsp = middle + 0x800,
                           .rbp = middle + 0x600,
                           .r8 = random(),
                           .r9 = random(),
                           .r10 = random(),
                           .r11 = random() & 0xfff,
                           .r12 = random(),
                           .r13 = middle,
                           .r14 = random(),
                           .r15 = random() };
    r.rflags = FL_ONE | FL_IF | (random() & (ARITHMETIC | FL_DF));
    return r;
}

static void random_arena(void)
{
    bool same = random() & 1; /* so that comparisons of strings go on for a while */
    for (size_t i = 0; i < ARENA; i += sizeof(uint64_t)) {
        uint64_t v = same && (random() & 7) ? 0 : random();
        memcpy(arena + i, &v, sizeof(v));
    }
}

static uint64_t shift_flags(const struct Insn *insn, unsigned count)
{
    if (count == 0)
        return ARITHMETIC;
    if (count == 1)
        return ARITHMETIC & ~FL_AF;
    if (insn->op >= OP_SHL && count >= 8u * insn->size)
        return ARITHMETIC & ~(FL_AF | FL_OF | FL_CF);
    return ARITHMETIC & ~(FL_AF | FL_OF);
}

/* Flags that are defined after this instruction; the others are not compared. */
static uint64_t defined_flags(const struct Case *c, const struct GuestRegs *before)
{
    struct Insn insn;
    insn_decode(&insn, c->code, c->end - c->code, 64);
    unsigned count = insn.form == FORM_E_1 ? 1 : insn.imm;
    if (insn.form == FORM_E_CL)
        count = before->rcx;
    count &= insn.size == 8 ? 63 : 31;
    switch (insn.op) {
    case OP_OR:
    case OP_AND:
    case OP_XOR:
    case OP_TEST:
        return ARITHMETIC & ~FL_AF;
    case OP_ROL ... OP_SAR:
        return shift_flags(&insn, count);
    case OP_BT ... OP_BTC:
        return FL_CF | FL_ZF;
    case OP_MUL ... OP_IMUL_REG:
        return FL_CF | FL_OF;
    }
    return ARITHMETIC;
}

static void compare(const struct Case *c)
{
    static uint8_t before[ARENA], after[ARENA];
    struct GuestRegs start = random_regs(), r = start;
    random_arena();
    memcpy(before, arena, ARENA);
    native = start;
    native_code = (uintptr_t)c->code;
    native_run();
    memcpy(after, arena, ARENA);
    memcpy(arena, before, ARENA);
    enum EmulateResult result = emulate_all(c, &r);
    CHECK(result == EMULATE_NEXT, "%s ends with %d", c->name, result);
    uint64_t differ = (r.rflags ^ native.rflags) & defined_flags(c, &start);
    CHECK(differ == 0, "%s: flags 0x%lx and not 0x%lx", c->name, r.rflags, native.rflags);
    native.rip = r.rip;
    native.rflags = r.rflags;
    for (size_t i = 0; i < sizeof(r) / 8; i++)
        CHECK(((uint64_t *)&r)[i] == ((uint64_t *)&native)[i],
              "%s: register %zu of struct GuestRegs is 0x%lx and not 0x%lx", c->name, i,
              ((uint64_t *)&r)[i], ((uint64_t *)&native)[i]);
    for (size_t i = 0; i < ARENA; i++)
        CHECK(arena[i] == after[i], "%s: byte 0x%zx is 0x%x and not 0x%x", c->name, i, arena[i],
              after[i]);
}

static void test_like_cpu(void)
{
    for (const struct Case *c = cases; c < cases_end; c++)
        for (int i = 0; i < ROUNDS; i++)
            compare(c);
}

/* ---- Faults ---- */

/* An instruction whose n-th access faults has changed no register. Elements that a REP has done
 * stay done, so these have a count of 1. */
static void fail(const struct Case *c, unsigned n)
{
    struct GuestRegs start = random_regs(), r;
    start.rcx = 1;
    random_arena();
    r = start;
    fail_at = n;
    accesses = 0;
    enum EmulateResult result = emulate_all(c, &r);
    fail_at = 0;
    if (result == EMULATE_NEXT && accesses < n)
        return;
    CHECK(result == EMULATE_FAULT, "%s ends with %d", c->name, result);
    if (r.rip != (uintptr_t)c->code)
        return; /* it was the second one of two instructions */
    r.rip = start.rip;
    CHECK(memcmp(&r, &start, sizeof(r)) == 0, "%s has changed registers before its fault", c->name);
}

static void test_faults(void)
{
    for (const struct Case *c = cases; c < cases_end; c++)
        for (unsigned n = 1; n <= 2; n++)
            fail(c, n);
}

/* ---- Other modes, addresses, and what is refused ---- */

#define BYTES(...) { __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ })

/* Registers there: rax 0x1000, rbx 0x20000, rsi 0x300, rdi 0x30, rbp 0x500, rip 0x7000; segments 1
 * to 6 times 0x100000. */
static const struct Address {
    unsigned bits;
    uint8_t bytes[GUEST_INSN_MAX];
    size_t n;
    uint64_t va;
} addresses[] = {
    /* 32 bits: DS, SS by EBP, and a prefix */
    { 32, BYTES(0x8b, 0x03), 0x420000 },             /* mov (%ebx), %eax */
    { 32, BYTES(0x8b, 0x45, 0x04), 0x300504 },       /* mov 4(%ebp), %eax */
    { 32, BYTES(0x65, 0x8b, 0x03), 0x620000 },       /* mov %gs:(%ebx), %eax */
    { 32, BYTES(0xa1, 4, 3, 2, 0), 0x420304 },       /* mov 0x20304, %eax */
    { 32, BYTES(0x8b, 0x0d, 4, 3, 2, 0), 0x420304 }, /* mov 0x20304, %ecx: no RIP */
    { 32, BYTES(0x67, 0x8b, 0x02), 0x300800 },       /* mov (%bp,%si), %eax, in SS */
    { 32, BYTES(0x82, 0x03, 0x01), 0x420000 },       /* addb $1, (%ebx) */
    /* 16 bits: all eight forms, and 32-bit addresses */
    { 16, BYTES(0x8b, 0x00), 0x400300 },             /* mov (%bx,%si), %ax */
    { 16, BYTES(0x8b, 0x01), 0x400030 },             /* mov (%bx,%di), %ax */
    { 16, BYTES(0x8b, 0x03), 0x300530 },             /* mov (%bp,%di), %ax */
    { 16, BYTES(0x8b, 0x04), 0x400300 },             /* mov (%si), %ax */
    { 16, BYTES(0x8b, 0x45, 0xff), 0x40002f },       /* mov -1(%di), %ax */
    { 16, BYTES(0x8b, 0x86, 0x10, 0x00), 0x300510 }, /* mov 16(%bp), %ax */
    { 16, BYTES(0x8b, 0x06, 0x34, 0x12), 0x401234 }, /* mov 0x1234, %ax */
    { 16, BYTES(0x8b, 0x07), 0x400000 },             /* mov (%bx), %ax: its lower half */
    { 16, BYTES(0x67, 0x8b, 0x03), 0x420000 },       /* mov (%ebx), %ax */
    { 16, BYTES(0xab), 0x100030 },                   /* stosw */
    { 16, BYTES(0x26, 0xac), 0x100300 },             /* lodsb %es:(%si) */
    { 16, BYTES(0xc7, 0x07, 0x34, 0x12), 0x400000 }, /* movw $0x1234, (%bx) */
    /* 64 bits: only FS and GS have a base; what RIP is relative to is the next instruction */
    { 64, BYTES(0x8b, 0x03), 0x20000 },
    { 64, BYTES(0x2e, 0x8b, 0x03), 0x20000 },
    { 64, BYTES(0x64, 0x8b, 0x03), 0x520000 },
    { 64, BYTES(0x64, 0x8b, 0x04, 0x25, 0x10, 0, 0, 0), 0x500010 },
    { 64, BYTES(0xc7, 0x05, 0x10, 0, 0, 0, 1, 0, 0, 0), 0x701a },
    { 64, BYTES(0xc6, 0x05, 0x10, 0, 0, 0, 1), 0x7017 },
    { 64, BYTES(0x8b, 0x44, 0x83, 0x10), 0x24010 }, /* mov 16(%rbx,%rax,4), %eax */
    { 64, BYTES(0x48, 0x0f, 0xab, 0x33), 0x20060 }, /* bts %rsi, (%rbx): bit 0x300 */
    /* Prefixes: DS after FS has no effect, and a REX that another prefix follows has none. */
    { 64, BYTES(0x64, 0x3e, 0x8b, 0x03), 0x520000 },
    { 64, BYTES(0x44, 0x66, 0x8b, 0x03), 0x20000 },
    { 64, BYTES(0x41, 0x40, 0x8b, 0x03), 0x20000 },
    { 64, BYTES(0x0f, 0x38, 0xf1, 0x43, 0x10), 0x20010 }, /* movbe %eax, 16(%rbx) */
    { 32, BYTES(0x8c, 0x1b), 0x420000 },                  /* mov %ds, (%ebx) */
};

static bool read_ones(struct Emulation *e, uint64_t va, unsigned size, bool writes, uint64_t *value)
{
    (void)size;
    (void)writes;
    *value = ~0ul;
    return passes(e, va);
}

static bool write_nothing(struct Emulation *e, uint64_t va, unsigned size, uint64_t value)
{
    (void)size;
    (void)value;
    return passes(e, va);
}

static const struct EmulateMemory empty_memory = { read_ones, write_nothing, fetch_arena };

/* Emulate it with the registers above. */
static enum EmulateResult emulate_one(const uint8_t *bytes, size_t n, unsigned bits,
                                      struct Emulation *e)
{
    static struct GuestRegs r;
    static struct GuestInsn code;
    r = (struct GuestRegs){ .rax = 0x1000,
                            .rbx = 0x20000,
                            .rsi = 0x300,
                            .rdi = 0x30,
                            .rbp = 0x500,
                            .rip = 0x7000,
                            .rsp = 0x8000,
                            .rflags = FL_ONE };
    code = code_of(bytes, n, bits);
    for (unsigned i = 0; i < 6; i++)
        code.segment_base[i] = (i + 1) * 0x100000;
    *e = (struct Emulation){ .memory = &empty_memory, .code = &code, .regs = &r };
    return emulate(e);
}

static void test_addresses(void)
{
    struct Emulation e;
    for (const struct Address *a = addresses; a < addresses + ARRAY_SIZE(addresses); a++) {
        enum EmulateResult r = emulate_one(a->bytes, a->n, a->bits, &e);
        unsigned i = a - addresses;
        CHECK(r == EMULATE_NEXT, "entry %u ends with %d", i, r);
        CHECK(last_va == a->va, "entry %u is at 0x%lx and not 0x%lx", i, last_va, a->va);
        CHECK(e.insn.length == a->n, "entry %u has %u bytes", i, e.insn.length);
    }
}

static const struct Refusal {
    unsigned bits;
    uint8_t bytes[GUEST_INSN_MAX];
    size_t n;
    enum EmulateResult result;
    uint8_t vector;
} refusals[] = {
    { 64, BYTES(0x0f, 0x28, 0x03), EMULATE_UNKNOWN, 0 },       /* movaps */
    { 64, BYTES(0x48, 0x0f, 0xc7, 0x0b), EMULATE_UNKNOWN, 0 }, /* cmpxchg16b */
    { 64, BYTES(0xdf, 0x3b), EMULATE_UNKNOWN, 0 },             /* fistpll */
    { 64, BYTES(0xf0, 0x8b, 0x03), EMULATE_UNKNOWN, 0 },       /* lock mov */
    { 64, BYTES(0xf0, 0x39, 0x03), EMULATE_UNKNOWN, 0 },       /* lock cmp */
    { 64, BYTES(0x82, 0x03, 0x01), EMULATE_UNKNOWN, 0 },       /* not in 64-bit mode */
    { 32, BYTES(0x63, 0x03), EMULATE_UNKNOWN, 0 },             /* arpl */
    { 64, BYTES(0xc7, 0x4b, 0x00, 0x00), EMULATE_UNKNOWN, 0 }, /* group 11, member 1 */
    { 64, BYTES(0x66, 0x0f, 0xc3, 0x03), EMULATE_UNKNOWN, 0 }, /* movnti of 16 bits */
    { 64, BYTES(0x66, 0xff, 0x13), EMULATE_UNKNOWN, 0 },       /* callw *(%rbx): AMD's only */
    { 64, BYTES(0x8e, 0x03), EMULATE_UNKNOWN, 0 },             /* mov (%rbx), %es */
    { 64, BYTES(0x8c, 0x33), EMULATE_UNKNOWN, 0 },             /* there is no segment 6 */
    { 64, BYTES(0x8b, 0xc3), EMULATE_AT_RIP, 0 },              /* mov %ebx, %eax */
    { 64, BYTES(0x8b), EMULATE_FAULT, T_ILLOP },               /* the rest is in no memory */
    { 64, BYTES(0xc7, 0x03, 1, 2, 3), EMULATE_FAULT, T_ILLOP },
    { 64, { 0 }, 0, EMULATE_FAULT, T_ILLOP },
    { 64,
      BYTES(0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x8b,
            0x43),
      EMULATE_FAULT, T_GPFLT },
    /* movabs 0x7ffffffffffd, %rax: its end is not canonical */
    { 64, BYTES(0x48, 0xa1, 0xfd, 0xff, 0xff, 0xff, 0xff, 0x7f, 0, 0), EMULATE_FAULT, T_GPFLT },
    /* movabs 0x800000000000, %rax: not canonical */
    { 64, BYTES(0x48, 0xa1, 0, 0, 0, 0, 0, 0x80, 0, 0), EMULATE_FAULT, T_GPFLT },
};

static void test_refusals(void)
{
    struct Emulation e;
    for (const struct Refusal *f = refusals; f < refusals + ARRAY_SIZE(refusals); f++) {
        enum EmulateResult r = emulate_one(f->bytes, f->n, f->bits, &e);
        unsigned i = f - refusals;
        CHECK(r == f->result, "entry %u ends with %d and not %d", i, r, f->result);
        CHECK(r != EMULATE_FAULT || e.fault.vector == f->vector, "entry %u: vector %u", i,
              e.fault.vector);
    }
}

/* Memory reads ones. */
static void test_jumps(void)
{
    static const uint8_t jmp[] = { 0xff, 0x23 }, call[] = { 0xff, 0x13 };
    static const uint8_t call_rel[] = { 0xe8, 0xf0, 0xff, 0xff, 0xff }, ret[] = { 0xc3 };
    struct Emulation e;
    CHECK_IS(emulate_one(jmp, sizeof(jmp), 64, &e), EMULATE_AT_RIP);
    CHECK_IS(e.regs->rip, ~0ul);
    CHECK_IS(emulate_one(jmp, sizeof(jmp), 32, &e), EMULATE_AT_RIP);
    CHECK_IS(e.regs->rip, 0xffffffff);
    CHECK_IS(emulate_one(call, sizeof(call), 64, &e), EMULATE_AT_RIP);
    CHECK_IS(e.regs->rip, ~0ul);
    CHECK_IS(e.regs->rsp, 0x8000 - 8);
    CHECK_IS(last_va, 0x8000 - 8);
    CHECK_IS(emulate_one(call_rel, sizeof(call_rel), 64, &e), EMULATE_AT_RIP);
    CHECK_IS(e.regs->rip, 0x7005 - 0x10);
    CHECK_IS(emulate_one(ret, sizeof(ret), 16, &e), EMULATE_AT_RIP);
    CHECK_IS(e.regs->rip, 0xffff);
    CHECK_IS(e.regs->rsp, 0x8002);
}

static uint64_t written;

static bool note_written(struct Emulation *e, uint64_t va, unsigned size, uint64_t value)
{
    written = value;
    return write_nothing(e, va, size, value);
}

/* What is not to be compared with this CPU: selectors, and MOVBE, which not all CPUs have. */
static void test_values(void)
{
    static const uint8_t movbe[] = { 0x66, 0x0f, 0x38, 0xf1, 0x03 }, selector[] = { 0x8c, 0x1b };
    static const struct EmulateMemory noting = { read_ones, note_written, fetch_arena };
    struct GuestRegs r = { .rax = 0x1122, .rbx = 0x20000 };
    struct GuestInsn code = code_of(movbe, sizeof(movbe), 64);
    struct Emulation e = { .memory = &noting, .code = &code, .regs = &r };
    CHECK_IS(emulate(&e), EMULATE_NEXT);
    CHECK_IS(written, 0x2211);
    code = code_of(selector, sizeof(selector), 64);
    code.selector[INSN_DS] = 0x1234;
    CHECK_IS(emulate(&e), EMULATE_NEXT);
    CHECK_IS(written, 0x1234);
}

/* Outside of 64-bit mode SS, and not CS, says how wide the stack pointer is. */
static void test_stack_width(void)
{
    static const uint8_t push[] = { 0x50 };
    struct GuestRegs r = { .rsp = 0x10000 };
    struct GuestInsn code = code_of(push, sizeof(push), 16);
    struct Emulation e = { .memory = &empty_memory, .code = &code, .regs = &r };
    code.stack_bits = 32;
    CHECK_IS(emulate(&e), EMULATE_NEXT);
    CHECK_IS(last_va, 0xfffe);
    CHECK_IS(r.rsp, 0xfffe);
    r.rsp = 0x10000;
    code.stack_bits = 16;
    CHECK_IS(emulate(&e), EMULATE_NEXT);
    CHECK_IS(last_va, 0xfffe);
    CHECK_IS(r.rsp, 0x1fffe);
}

/* Where code ends, the next byte's page fault counts, if there is one. */
static void test_fetch_fault(void)
{
    static const uint8_t bytes[] = { 0x8b };
    struct Emulation e;
    fail_at = 1;
    accesses = 0;
    CHECK_IS(emulate_one(bytes, 1, 64, &e), EMULATE_FAULT);
    fail_at = 0;
    CHECK_IS(e.fault.vector, T_PGFLT);
    CHECK_IS(e.fault.address, 0x7001);
}

/* Whatever the bytes are, the decoder ends, and reads none that is not there. */
static void test_any_bytes(void)
{
    static const unsigned modes[] = { 16, 32, 64 };
    uint8_t bytes[GUEST_INSN_MAX];
    struct Emulation e;
    for (unsigned i = 0; i < FUZZ; i++) {
        for (unsigned k = 0; k < sizeof(bytes); k++)
            bytes[k] = random();
        size_t n = random() % (sizeof(bytes) + 1);
        enum EmulateResult r = emulate_one(bytes, n, modes[i % 3], &e);
        CHECK(r != EMULATE_NEXT || (e.insn.length > 0 && e.insn.length <= n),
              "%u bytes of %zu, begin 0x%x 0x%x", e.insn.length, n, bytes[0], bytes[1]);
    }
}

int umain(int argc, char **argv)
{
    static const struct Test tests[] = {
        { "like-cpu", test_like_cpu },   { "faults", test_faults },
        { "addresses", test_addresses }, { "refusals", test_refusals },
        { "jumps", test_jumps },         { "fetch", test_fetch_fault },
        { "values", test_values },       { "stack-width", test_stack_width },
        { "any-bytes", test_any_bytes },
    };
    return run_tests(tests, ARRAY_SIZE(tests), argc, argv);
}
