/*
 * mmio: accesses to guest-physical memory that no device has read ones, and what is written there
 * is lost; the instructions that make them do all the rest of what they do: registers, flags,
 * string registers, the other operand, and its faults.
 */
#include "rt.h"

const char guest_name[] = "mmio";

#define NOWHERE    0xd0000000ul
#define VA         0x40000000ul /* there; 2 MiB */
#define RAM_VA     0x40400000ul /* a page of RAM, and after it one that is nowhere */
#define ABSENT_VA  0x40600000ul
#define FIXED_VA   0x40800000ul /* read-only */
#define USER_VA    0x40a00000ul
#define NOT_CANON  0x900000000000ul
#define ARITHMETIC (FL_CF | FL_PF | FL_AF | FL_ZF | FL_SF | FL_OF)
#define ONES       (~0ul)

static uint8_t ram[PGSIZE] __attribute__((aligned(PGSIZE)));

static struct {
    uint64_t a, b, c, d, s, di, flags;
} r;

/* Execute it with the registers and flags in r, which then has them as they are afterwards. */
#define EXEC(text)                                                               \
    asm volatile("pushq %[f]\n\tpopfq\n\t" text "\n\tpushfq\n\tpopq %[f]\n\tcld" \
                 : "+a"(r.a), "+b"(r.b), "+c"(r.c), "+d"(r.d), "+S"(r.s),        \
                   "+D"(r.di), [f] "+m"(r.flags)                                 \
                 :                                                               \
                 : "memory", "cc")

static void set(uint64_t a, uint64_t d, uint64_t flags)
{
    r.a = a;
    r.b = VA + 0x100;
    r.d = d;
    r.flags = FL_ONE | flags;
}

static void expect(const char *what, const char *part, uint64_t want, uint64_t got)
{
    check(want == got, "%s: %s is 0x%lx and not 0x%lx", what, part, got, want);
}

/* An instruction, and rax and the flags of `defined` after it. */
#define TRY(text, rax, defined, want)                              \
    do {                                                           \
        EXEC(text);                                                \
        expect(text, "rax", rax, r.a);                             \
        expect(text, "flags", want, r.flags &(uint64_t)(defined)); \
    } while (0)

static void try_moves(void)
{
    trying("moves");
    set(0x1122334455667788, 0x99, 0);
    TRY("movb (%%rbx), %%al", 0x11223344556677ff, 0, 0);
    TRY("movb (%%rbx), %%ah", 0x112233445566ffff, 0, 0);
    set(0x1122334455667788, 0, 0);
    TRY("movw (%%rbx), %%ax", 0x112233445566ffff, 0, 0);
    TRY("movl (%%rbx), %%eax", 0xffffffff, 0, 0);
    TRY("movq (%%rbx), %%rax", ONES, 0, 0);
    TRY("movzbl (%%rbx), %%eax", 0xff, 0, 0);
    TRY("movzwq (%%rbx), %%rax", 0xffff, 0, 0);
    TRY("movsbl (%%rbx), %%eax", 0xffffffff, 0, 0);
    TRY("movslq (%%rbx), %%rax", ONES, 0, 0);
    set(5, 0, 0);
    TRY("movl %%eax, 8(%%rbx); movl 8(%%rbx), %%eax", 0xffffffff, 0, 0);
    TRY("movq $7, (%%rbx); movq (%%rbx,%%rdx,8), %%rax", ONES, 0, 0);
    set(5, 0, 0);
    TRY("movb $7, (%%rbx); movabs 0x40000018, %%al", 0xff, 0, 0);
    TRY("movabs %%eax, 0x40000018; movl %%gs:(%%rbx), %%eax", 0xffffffff, 0, 0);
}

static void try_arithmetic(void)
{
    trying("arithmetic with all its flags");
    set(1, 0, FL_OF);
    TRY("addl $1, (%%rbx)", 1, ARITHMETIC, FL_CF | FL_PF | FL_AF | FL_ZF);
    TRY("addl (%%rbx), %%eax", 0, ARITHMETIC, FL_CF | FL_PF | FL_AF | FL_ZF);
    set(1, 0, FL_CF);
    TRY("adcq %%rax, (%%rbx)", 1, ARITHMETIC, FL_CF | FL_AF);
    set(1, 0, FL_CF);
    TRY("subb (%%rbx), %%al", 2, ARITHMETIC, FL_CF | FL_AF);
    set(0xf0, 0, FL_CF | FL_OF);
    TRY("andb (%%rbx), %%al", 0xf0, ARITHMETIC & ~FL_AF, FL_SF | FL_PF);
    TRY("xorb %%al, (%%rbx)", 0xf0, ARITHMETIC & ~FL_AF, FL_PF);
    TRY("cmpw $-1, (%%rbx)", 0xf0, ARITHMETIC, FL_ZF | FL_PF);
    TRY("testl $0x80000000, (%%rbx)", 0xf0, FL_ZF | FL_SF | FL_PF, FL_SF | FL_PF);
    set(0, 0, FL_CF);
    TRY("incq (%%rbx)", 0, ARITHMETIC, FL_CF | FL_PF | FL_AF | FL_ZF);
    TRY("decb (%%rbx)", 0, ARITHMETIC, FL_CF | FL_SF);
    TRY("negl (%%rbx)", 0, ARITHMETIC, FL_CF | FL_AF);
    TRY("notl (%%rbx)", 0, ARITHMETIC, FL_CF | FL_AF);
    TRY("shlb (%%rbx)", 0, FL_CF | FL_ZF | FL_SF, FL_CF | FL_SF);
    TRY("btq $5, (%%rbx)", 0, FL_CF, FL_CF);
    set(0, 0, 0);
    TRY("btsl %%eax, (%%rbx)", 0, FL_CF, FL_CF);
    set(3, 0, 0);
    TRY("mulb (%%rbx)", 3 * 0xff, FL_CF | FL_OF, FL_CF | FL_OF);
    TRY("setc (%%rbx); cmovcl (%%rbx), %%eax", 0xffffffff, 0, 0);
}

static void try_exchanges(void)
{
    trying("exchanges, with LOCK");
    set(0x77, 0, 0);
    TRY("xchgl %%eax, (%%rbx)", 0xffffffff, 0, 0);
    set(2, 0, 0);
    TRY("lock xaddq %%rax, (%%rbx)", ONES, ARITHMETIC, FL_CF | FL_AF);
    set(ONES, 5, 0);
    TRY("lock cmpxchgl %%edx, (%%rbx)", ONES, FL_ZF, FL_ZF);
    set(0, 5, FL_ZF);
    TRY("lock cmpxchgl %%edx, (%%rbx)", 0xffffffff, FL_ZF, 0);
    r.c = 0;
    set(0, 0, FL_ZF);
    TRY("lock cmpxchg8b (%%rbx)", 0xffffffff, FL_ZF, 0);
    expect("cmpxchg8b", "rdx", 0xffffffff, r.d);
}

static void set_string(uint64_t from, uint64_t to, uint64_t count, uint64_t flags)
{
    set(0, 0, flags);
    r.s = from;
    r.di = to;
    r.c = count;
}

static void expect_string(const char *what, uint64_t s, uint64_t di, uint64_t c)
{
    expect(what, "rsi", s, r.s);
    expect(what, "rdi", di, r.di);
    expect(what, "rcx", c, r.c);
}

static void try_strings(void)
{
    uint64_t buf = (uint64_t)ram;
    trying("strings");
    memset(ram, 0x11, sizeof(ram));
    set_string(VA, buf + 8, 40, 0);
    EXEC("rep movsb");
    expect_string("rep movsb", VA + 40, buf + 48, 0);
    for (unsigned i = 0; i < 64; i++)
        check(ram[i] == (i >= 8 && i < 48 ? 0xff : 0x11), "byte %u is 0x%x", i, ram[i]);
    set_string(buf + 24, VA + 24, 4, FL_DF);
    EXEC("rep movsq");
    expect_string("rep movsq backwards", buf - 8, VA - 8, 0);
    set_string(0, VA, 3, 0);
    EXEC("rep stosl");
    expect_string("rep stosl", 0, VA + 12, 0);
    set_string(VA, 0, 3, 0);
    TRY("rep lodsw", 0xffff, 0, 0);
    expect_string("rep lodsw", VA + 6, 0, 0);
    set_string(VA, buf + 8, 100, 0);
    EXEC("repe cmpsb");
    expect_string("repe cmpsb", VA + 41, buf + 49, 59);
    set_string(0, VA, 9, 0);
    r.a = 0xff;
    EXEC("repne scasb");
    expect_string("repne scasb", 0, VA + 1, 8);
    expect("repne scasb", "ZF", FL_ZF, r.flags & FL_ZF);
    set_string(VA, VA, 0, 0);
    EXEC("rep movsb");
    expect_string("rep movsb of no bytes", VA, VA, 0);
}

static void try_stack(void)
{
    trying("the stack");
    set(0, 0, 0);
    TRY("pushq (%%rbx); popq %%rax", ONES, 0, 0);
    TRY("pushq $5; popq (%%rbx); movq (%%rbx), %%rax", ONES, 0, 0);
    TRY("movq %%rsp, %%rdx; movq %%rbx, %%rsp; pushq $7; popq %%rax; subq %%rsp, %%rbx; movq "
        "%%rdx, "
        "%%rsp",
        ONES, 0, 0);
    expect("push and pop there", "what is left", 0, r.b);
}

/* The last bytes of a page of RAM, and the first ones of one that is nowhere. */
static void try_crossing(void)
{
    uint64_t end = RAM_VA + PGSIZE;
    trying("operands across the end of RAM");
    memset(ram, 0x11, sizeof(ram));
    for (unsigned i = 1; i < 8; i++) {
        set(0, 0, 0);
        r.b = end - i;
        EXEC("movq (%%rbx), %%rax");
        expect("mov from both", "rax", (ONES << 8 * i) | (0x1111111111111111 & ~(ONES << 8 * i)),
               r.a);
        r.a = 0x8877665544332211 + i;
        EXEC("movq %%rax, (%%rbx)");
        for (unsigned k = 0; k < i; k++)
            expect("mov to both", "a byte", (r.a >> 8 * k) & 0xff, ram[PGSIZE - i + k]);
        memset(ram, 0x11, sizeof(ram));
    }
    set(0, 0, 0);
    r.b = end - 2;
    EXEC("lock incl (%%rbx)");
    expect("inc of both", "the part in RAM", 0x1112, ram[PGSIZE - 2] | ram[PGSIZE - 1] << 8);
}

static void expect_fault(const char *what, int vector, int want, uint64_t error, uint64_t address)
{
    check(vector == want, "%s: trap %d and not %d", what, vector, want);
    check(caught.err == error, "%s: error 0x%lx", what, caught.err);
    check(want != T_PGFLT || caught.cr2 == address, "%s: cr2 0x%lx", what, caught.cr2);
}

#define MOVSB "movq %%rax, %%rsi; movq %%rcx, %%rdi; movsb"

static void try_faults(void)
{
    trying("faults of the other operand");
    expect_fault("to an absent page", CATCH(MOVSB, VA, ABSENT_VA + 5, 0), T_PGFLT, FEC_WR,
                 ABSENT_VA + 5);
    expect_fault("from an absent page", CATCH(MOVSB, ABSENT_VA, VA, 0), T_PGFLT, 0, ABSENT_VA);
    expect_fault("to a read-only page", CATCH(MOVSB, VA, FIXED_VA, 0), T_PGFLT, FEC_PR | FEC_WR,
                 FIXED_VA);
    expect_fault("to no address", CATCH(MOVSB, VA, NOT_CANON, 0), T_GPFLT, 0, 0);
    trying("code in user mode");
    static const uint8_t code[] = { 0x48, 0x89, 0xc6, 0xa4 }; /* mov %rax, %rsi; movsb */
    map_4k(USER_VA, (uint64_t)ram, PTE_P | PTE_W | PTE_U);
    map_4k(USER_VA + PGSIZE, NOWHERE, PTE_P | PTE_W | PTE_U);
    memcpy(ram, code, sizeof(code));
    expect_fault("user code", in_user(USER_VA, RAM_VA, USER_VA + PGSIZE), T_PGFLT,
                 FEC_PR | FEC_WR | FEC_U, RAM_VA);
}

static void try_invalid(void)
{
    trying("instructions that are not carried out there");
    check(CATCH("jmp *%%rax", VA, 0, 0) == T_ILLOP, "code of ones: trap %d", caught.vector);
    check(caught.rip == VA, "code of ones: rip 0x%lx", caught.rip);
}

/* It ends the guest. */
static void try_unknown(void)
{
    trying("an instruction that the monitor does not know");
    check(CATCH("lock cmpxchg16b (%%rax)", VA, 0, 0) != T_ILLOP, "cmpxchg16b: #UD");
    check(false, "the guest goes on");
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    if (cmdline_has("unknown")) {
        map_2m(VA, NOWHERE, PTE_P | PTE_W);
        try_unknown();
        return check_result();
    }
    map_2m(VA - PGSIZE_2M, NOWHERE, PTE_P | PTE_W);
    map_2m(VA, NOWHERE, PTE_P | PTE_W);
    map_4k(RAM_VA, (uint64_t)ram, PTE_P | PTE_W);
    map_4k(RAM_VA + PGSIZE, NOWHERE, PTE_P | PTE_W);
    map_4k(FIXED_VA, (uint64_t)ram, PTE_P);
    lcr0(rcr0() | CR0_WP);
    try_moves();
    try_arithmetic();
    try_exchanges();
    try_strings();
    try_stack();
    try_crossing();
    try_faults();
    try_invalid();
    return check_result();
}
