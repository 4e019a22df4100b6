/*
 * apic-movs: the instructions that reach the local APIC's page: all forms of MOV in 64-, 32- and
 * 16-bit code, at any place in a page, and replaced or mapped to another page between two
 * executions; those that are no MOV; and sizes and places by which the manual defines nothing,
 * where this VMM's answer is part of its contract.
 */
#include "rt.h"

const char guest_name[] = "apic-movs";

#define REG       (APIC_PAGE + 0x380) /* the timer's initial count: 32 bits that can be read back */
#define ALIAS     0x40000000ul        /* the page, where RIP-relative addresses reach it */
#define HIGH      0xfffffffffee00000ul /* the same, where disp32 reaches it */
#define CODE_VA   0x40200000ul
#define SEL_16    0x40 /* of this guest's own table */
#define SEL_APIC  0x48
#define DESC_16   0x00009b000000ffffull /* 16-bit code, 64 KiB */
#define DESC_APIC 0xfec093e00000ffffull /* data from the page on */
#define OP_RET    0xc3
#define ROUNDS    200

extern uint64_t rt_gdt[8];
static uint64_t gdt[10];

static struct {
    uint64_t a, b, c, d, s, di;
} r;

#define EXEC(text)                                                                   \
    asm volatile(text                                                                \
                 : "+a"(r.a), "+b"(r.b), "+c"(r.c), "+d"(r.d), "+S"(r.s), "+D"(r.di) \
                 :                                                                   \
                 : "memory", "cc", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15")

static void set(uint64_t a)
{
    r.a = a;
    r.b = REG;
    r.c = r.d = 0;
    r.s = 0x20;
    r.di = REG;
    xapic_write(X2APIC_INITCNT, 0xdead);
}

static void expect(const char *what, const char *part, uint64_t want, uint64_t got)
{
    check(want == got, "%s: %s is 0x%lx and not 0x%lx", what, part, got, want);
}

/* A store of EAX = 0x11223344. */
#define STORE(text)                                                       \
    do {                                                                  \
        set(0xaabbccdd11223344);                                          \
        EXEC(text);                                                       \
        expect(text, "register", 0x11223344, xapic_read(X2APIC_INITCNT)); \
        expect(text, "rax", 0xaabbccdd11223344, r.a);                     \
    } while (0)

/* A store that does nothing. */
#define NO_STORE(text)                                                \
    do {                                                              \
        set(0x1122334455667788);                                      \
        EXEC(text);                                                   \
        expect(text, "register", 0xdead, xapic_read(X2APIC_INITCNT)); \
    } while (0)

/* A load of 0x87654321 into a register, which text moves to RAX. */
#define LOAD(text, want)                         \
    do {                                         \
        set(0x1122334455667788);                 \
        xapic_write(X2APIC_INITCNT, 0x87654321); \
        EXEC(text);                              \
        expect(text, "rax", want, r.a);          \
    } while (0)

static void try_stores(void)
{
    trying("stores");
    STORE("movl %%eax, (%%rbx)");
    STORE("movl %%eax, %%ecx; movl %%ecx, -0x20(%%rbx,%%rsi)");
    STORE("movl %%eax, %%r9d; leaq -0x380(%%rbx), %%r8; movl %%r9d, 0x380(%%r8)");
    STORE("movq %%rbx, %%r12; movl %%eax, (%%r12)");
    STORE("movq %%rbx, %%r13; movl %%eax, (%%r13)");
    STORE("movl %%eax, 0(%%rbx,%%rdx,8)");
    STORE("leaq -0x20(%%rbx), %%r14; movq %%rsi, %%r15; movl %%eax, (%%r14,%%r15)");
    STORE("xchgq %%rsp, %%rbx; movl %%eax, (%%rsp); xchgq %%rsp, %%rbx");
    STORE("xchgq %%rsp, %%rax; movl %%esp, (%%rbx); xchgq %%rsp, %%rax");
    STORE("movl $0x11223344, (%%rbx)");
    STORE("movl $0x11223344, -0x80(%%rbx,%%rsi,4)");
    STORE("movl %%eax, 0xfffffffffee00380");
    STORE("movl $0x11223344, 0xfffffffffee00380");
    STORE(".byte 0x67; movl %%eax, 0xfffffffffee00380");
    STORE("movabsl %%eax, 0xfee00380");
    STORE(".byte 0x67, 0xa3; .long 0xfee00380");
    STORE(".byte 0x67; movl %%eax, (%%ebx)");
    STORE("movl %%eax, %%gs:(%%rbx)");
    STORE(".byte 0x2e, 0x3e, 0xf3, 0x89, 0x03");
    STORE(".byte 0x40, 0x89, 0x03");
    STORE(".byte 0x48, 0x3e, 0x89, 0x03"); /* a REX prefix that does not count */
}

static void try_loads(void)
{
    trying("loads");
    LOAD("movl (%%rbx), %%eax", 0x87654321);
    LOAD("movl (%%rbx), %%r8d; movq %%r8, %%rax", 0x87654321);
    LOAD("movq $-1, %%r15; movl -0x20(%%rdi,%%rsi), %%r15d; movq %%r15, %%rax", 0x87654321);
    LOAD("movl 0xfffffffffee00380, %%edx; movl %%edx, %%eax", 0x87654321);
    LOAD("movabsl 0xfee00380, %%eax", 0x87654321);
    LOAD("movq %%rsp, %%r10; movl (%%rbx), %%esp; movq %%rsp, %%rax; movq %%r10, %%rsp",
         0x87654321);
}

/* By the manual these are undefined. */
static void try_sizes(void)
{
    trying("other sizes and places");
    NO_STORE("movb %%al, (%%rbx)");
    NO_STORE("movb $1, (%%rbx)");
    NO_STORE("movw %%ax, (%%rbx)");
    NO_STORE("movw $1, (%%rbx)");
    NO_STORE("movq %%rax, (%%rbx)");
    NO_STORE("movq $1, (%%rbx)");
    NO_STORE("movabsb %%al, 0xfee00380");
    NO_STORE("movl %%eax, 4(%%rbx)");
    NO_STORE("movl %%eax, 1(%%rbx)");
    NO_STORE("movl %%eax, -4(%%rbx)");
    LOAD("movq (%%rbx), %%rax", 0x87654321);
    LOAD("movw (%%rbx), %%ax", 0x1122334455664321);
    LOAD("movb (%%rbx), %%al", 0x1122334455667721);
    LOAD("movb 1(%%rbx), %%al", 0x1122334455667743);
    LOAD("movb 3(%%rbx), %%ah", 0x1122334455668788);
    LOAD("movabsb 0xfee00380, %%al", 0x1122334455667721);
    LOAD("movl $0x777, %%esi; movb 2(%%rbx), %%sil; movq %%rsi, %%rax", 0x765);
    LOAD("movl $0x777, %%r11d; movb 2(%%rbx), %%r11b; movq %%r11, %%rax", 0x765);
    LOAD("movw 2(%%rbx), %%ax", 0x1122334455668765);
    LOAD("movl 4(%%rbx), %%eax", 0);
    LOAD("movl 2(%%rbx), %%eax", 0x8765);
    LOAD("movl 12(%%rbx), %%eax", 0);
}

/* What is no MOV is carried out elsewhere, on the same registers. */
static void try_others(void)
{
    trying("other instructions");
    LOAD("andl $0xffff, (%%rbx); movl (%%rbx), %%eax", 0x4321);
    LOAD("orl $0x10000000, (%%rbx); movl (%%rbx), %%eax", 0x97654321);
    LOAD("xorl %%eax, %%eax; testl $0x80000000, (%%rbx); setnz %%al", 1);
    LOAD("xorl %%eax, %%eax; cmpl $0x87654321, (%%rbx); sete %%al", 1);
    LOAD("btl $5, (%%rbx); sbbl %%eax, %%eax", 0xffffffff);
    LOAD("movzwl (%%rbx), %%eax", 0x4321);
    LOAD("movsbq 3(%%rbx), %%rax", 0xffffffffffffff87);
    LOAD("movq %%rbx, %%rsi; lodsl", 0x87654321);
    LOAD("movl $0x1234, %%eax; stosl; movl (%%rbx), %%eax", 0x1234);
    LOAD("movl $1, %%ecx; pushq $0x77; movq %%rsp, %%rsi; rep movsl; popq %%rax; movl (%%rbx), "
         "%%eax",
         0x77);
}

/* ---- Other modes ---- */

/* Each stores a number by another form, and reads it back to the next result. */
static volatile uint32_t results[16];
#define NEXT "    movl %ecx, (%edi); addl $4, %edi\n"
void run_32(void), run_16(void);
asm("run_32:\n"
    "    pushq %rbx; pushq %rbp\n"
    "    movl $results, %edi\n"
    "    pushq $0x38; pushq $1f; lretq\n" /* SEL_COMPAT */
    ".code32\n"
    "1:  movl $0xfee00380, %ebx; xorl %esi, %esi; movl %ebx, %ebp\n"
    "    movl $1, %eax; movl %eax, (%ebx); movl (%ebx), %ecx\n" NEXT
    "    movl $2, 0xfee00380; movl 0xfee00380, %ecx\n" NEXT
    "    movl $3, %eax; movl %eax, 0xfee00380; xorl %eax, %eax; movl 0xfee00380, %eax;"
    "    movl %eax, %ecx\n" NEXT "    movl $4, (%ebx,%esi,4); movl 0(%ebp), %ecx\n" NEXT
    "    movl $5, 0xfee00380(,%esi,8); movl %es:(%ebx), %ecx\n" NEXT
    "    movl $6, 0(%ebp,%esi); movl (%ebp,%esi), %ecx\n" NEXT
    "    ljmp $0x08, $2f\n" /* SEL_KCODE */
    ".code64\n"
    "2:  popq %rbp; popq %rbx; ret\n"
    "run_16:\n"
    "    pushq %rbx; pushq %rbp\n"
    "    movl $results, %edi\n"
    "    movl $0x48, %eax; movl %eax, %es\n"           /* SEL_APIC */
    "    pushq $0x40; pushq $(3f - 0x100000); lretq\n" /* SEL_16 */
    ".code16\n"
    "3:  movl $0xfee00380, %ebx; xorl %esi, %esi\n"
    "    movl $1, %eax; movl %eax, (%ebx); movl (%ebx), %ecx\n" NEXT
    "    movl $2, %es:0x380; movl %es:0x380, %ecx\n" NEXT
    "    movl $3, %eax; movl %eax, %es:0x380; xorl %eax, %eax; movl %es:0x380, %eax;"
    "    movl %eax, %ecx\n" NEXT
    "    movw $0x380, %bx; movl $4, %es:(%bx); movl %es:(%bx,%si), %ecx\n" NEXT
    "    movw $0x370, %bp; movl $5, %es:0x10(%bp); movl %es:0x10(%bp,%si), %ecx\n" NEXT
    "    movl $6, %es:-0x1000(%bp,%si); movw $0x80, %bx; movl $6, %es:0x300(%bx);"
    "    movl %es:0x300(%bx), %ecx\n" NEXT "    ljmpl $0x08, $4f\n" /* SEL_KCODE */
    ".code64\n"
    "4:  movl $0x10, %eax; movl %eax, %es\n"
    "    popq %rbp; popq %rbx; ret\n");

static void try_mode(const char *what, void (*run)(void))
{
    trying("%s code", what);
    memset((void *)results, 0, sizeof(results));
    run();
    for (uint32_t i = 0; i < 6; i++)
        check(results[i] == i + 1, "%s: form %u gives 0x%x", what, i + 1, results[i]);
}

static void load_gdt(void)
{
    memcpy(gdt, rt_gdt, sizeof(rt_gdt));
    gdt[SEL_16 / 8] = DESC_16 | 0x100000ull << 16; /* from the guest's first byte on */
    gdt[SEL_APIC / 8] = DESC_APIC;
    struct Pseudodesc desc = { sizeof(gdt) - 1, (uint64_t)gdt };
    asm volatile("lgdt %0" : : "m"(desc));
}

/* ---- Code that moves and changes ---- */

static uint8_t pages[3][PGSIZE] __attribute__((aligned(PGSIZE)));
/* movl $imm32, (%rdi); ret */
static const uint8_t store_code[] = { 0xc7, 0x07, 0, 0, 0, 0, OP_RET };
#define IMMEDIATE 2

static void call_store(const uint8_t *code)
{
    asm volatile("call *%0" : : "r"(code), "D"(REG) : "memory");
}

static void put_store(uint8_t *at, uint32_t value)
{
    memcpy(at, store_code, sizeof(store_code));
    memcpy(at + IMMEDIATE, &value, sizeof(value));
}

/* The displacement counts from the instruction's end, which is after the immediate. */
static void try_relative(void)
{
    static const uint8_t opcode[] = { 0xc7, 0x05 };
    const uint32_t value = 0x12345;
    uint8_t *at = pages[0];
    int32_t offset = ALIAS + (REG - APIC_PAGE) - (uint64_t)(at + 10);
    trying("a RIP-relative address");
    memcpy(at, opcode, 2);
    memcpy(at + 2, &offset, 4);
    memcpy(at + 6, &value, 4);
    at[10] = OP_RET;
    call_store(at);
    expect("RIP-relative", "register", value, xapic_read(X2APIC_INITCNT));
}

static void try_places(void)
{
    trying("an instruction at each place at the end of a page");
    for (uint32_t n = 1; n < 24; n++) {
        uint8_t *at = pages[1] - n;
        put_store(at, n);
        call_store(at);
        expect("a place", "register", n, xapic_read(X2APIC_INITCNT));
    }
}

/* The guest changes what is at the same address: the bytes, or the page. */
static void try_changes(void)
{
    trying("an instruction that is rewritten");
    for (uint32_t i = 0; i < ROUNDS; i++) {
        put_store(pages[0], i);
        call_store(pages[0]);
        expect("rewritten", "register", i, xapic_read(X2APIC_INITCNT));
    }
    trying("another page with another instruction at the same address");
    for (uint32_t i = 0; i < ROUNDS; i++) {
        put_store(pages[i % 2], 1000 + i);
        map_4k(CODE_VA, (uint64_t)pages[i % 2], PTE_P | PTE_W);
        call_store((const uint8_t *)CODE_VA);
        expect("another page", "register", 1000 + i, xapic_read(X2APIC_INITCNT));
    }
}

static volatile uint64_t stepped_to;

static void on_debug(struct Trapframe *tf)
{
    if (stepped_to == 0)
        stepped_to = tf->tf_rip;
    tf->tf_rflags &= ~(uint64_t)FL_TF;
}

static void try_step(void)
{
    uint64_t after;
    trying("a step over such an instruction");
    trap_handlers[T_DEBUG] = on_debug;
    set(0x77);
    asm volatile("leaq 1f(%%rip), %0\n"
                 "    pushfq; orl %3, (%%rsp); popfq\n"
                 "    movl %1, (%2)\n"
                 "1:  nop; nop\n"
                 : "=&r"(after)
                 : "r"(0x77), "r"(REG), "i"(FL_TF)
                 : "memory", "cc");
    expect("the step", "end", after, stepped_to);
    expect("the step", "register", 0x77, xapic_read(X2APIC_INITCNT));
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    xapic_enable();
    map_2m(ALIAS, APIC_PAGE, PTE_P | PTE_W | PTE_PCD);
    map_2m(HIGH, APIC_PAGE, PTE_P | PTE_W | PTE_PCD);
    load_gdt();
    try_stores();
    try_loads();
    try_sizes();
    try_others();
    try_mode("32-bit", run_32);
    try_mode("16-bit", run_16);
    try_relative();
    try_places();
    try_changes();
    try_step();
    return check_result();
}
