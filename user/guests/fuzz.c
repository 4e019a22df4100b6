/*
 * fuzz: random bytes as code. `mode=long` runs many short pieces, in the kernel's mode and in user
 * mode, each until an exception or a timer ends it; `mode=prot` and `mode=real` go to 32-bit
 * protected or real mode and run one there, from which nothing comes back. `seed=N` makes the same
 * bytes again, `runs=N` says how many pieces. A dot goes out before each. Random code may do
 * anything to this guest; what it must not do is done to the host.
 */
#include "rt.h"

const char guest_name[] = "fuzz";

#define CODE_VA    0x40000000ul
#define DATA_VA    0x40200000ul
#define CODE_BYTES 256
#define VECTOR     0x40
#define TIME_LIMIT 4000 /* ticks of the APIC timer for one piece */
#define NREGS      15
#define FL_NT_BIT  0x4000

void leave_long_mode(const void *code) __attribute__((noreturn));
extern const char go_real[];
extern uint8_t real_bytes;

extern uint64_t boot_pml4[NPTENTRIES];

static uint8_t code[PGSIZE] __attribute__((aligned(PGSIZE)));
static uint8_t data[PGSIZE_2M] __attribute__((aligned(PGSIZE_2M)));
static uint8_t trap_stack[PGSIZE] __attribute__((aligned(16)));
static uint64_t state;

/* Knuth's MMIX generator, high bits. */
static uint64_t roll(void)
{
    state = state * 6364136223846793005ul + 1442695040888963407ul;
    return state >> 33;
}

static uint64_t word(const char *name, uint64_t otherwise)
{
    const char *p = strstr(cmdline(), name);
    return p ? strtoul(p + strlen(name), NULL, 10) : otherwise;
}

/* Beginnings of instructions that a hypervisor has to do with; what follows is random. */
static const uint8_t openings[][4] = {
    { 3, 0x0f, 0x01, 0xc1 }, /* vmcall */
    { 3, 0x0f, 0x01, 0xd9 }, /* vmmcall */
    { 2, 0x0f, 0x01 },       /* descriptor tables, lmsw, invlpg, VMX, xsetbv */
    { 2, 0x0f, 0x00 },       /* lldt, ltr */
    { 2, 0x0f, 0x20 },       /* mov from and to control and debug registers */
    { 2, 0x0f, 0x22 },
    { 2, 0x0f, 0x21 },
    { 2, 0x0f, 0x23 },
    { 2, 0x0f, 0x30 }, /* wrmsr, rdtsc, rdmsr, rdpmc, sysenter */
    { 2, 0x0f, 0x32 },
    { 2, 0x0f, 0x33 },
    { 2, 0x0f, 0x34 },
    { 2, 0x0f, 0x05 },
    { 2, 0x0f, 0x07 },
    { 2, 0x0f, 0xa2 }, /* cpuid */
    { 2, 0x0f, 0xaa }, /* rsm */
    { 2, 0x0f, 0xae }, /* fxsave and its kin */
    { 2, 0x0f, 0xc7 }, /* cmpxchg8b, VMX, rdrand */
    { 3, 0x66, 0x0f, 0x38 },
    { 1, 0xf4 }, /* hlt, ports, strings of ports, int, iret, popf */
    { 1, 0xe4 },
    { 1, 0xe7 },
    { 1, 0xec },
    { 1, 0xef },
    { 1, 0x6c },
    { 1, 0x6f },
    { 2, 0xf3, 0x6c },
    { 2, 0xf3, 0x6f },
    { 1, 0xcd },
    { 1, 0xf1 },
    { 1, 0xcf },
    { 1, 0x9d },
    { 1, 0x8e }, /* mov to a segment register */
    { 1, 0xea }, /* far jump */
};

static void make_code(uint8_t *p)
{
    for (unsigned i = 0; i < CODE_BYTES;) {
        const uint8_t *o = openings[roll() % ARRAY_SIZE(openings)];
        for (unsigned j = 1; j <= o[0] && i < CODE_BYTES && roll() % 16; j++)
            p[i++] = o[j];
        for (unsigned j = roll() % 6; j > 0 && i < CODE_BYTES; j--)
            p[i++] = roll();
    }
}

/* ---- One piece in long mode ---- */

uint64_t fuzz_rsp, fuzz_regs[NREGS], fuzz_frame[5];
void run_bytes(void);
extern const char bytes_done[];
asm(".text\n"
    "run_bytes:\n"
    "    pushq %rbx; pushq %rbp; pushq %r12; pushq %r13; pushq %r14; pushq %r15\n"
    "    movq %rsp, fuzz_rsp\n"
    "    movq $fuzz_regs, %rsp\n"
    "    popq %rax; popq %rbx; popq %rcx; popq %rdx; popq %rsi; popq %rdi; popq %rbp\n"
    "    popq %r8; popq %r9; popq %r10; popq %r11; popq %r12; popq %r13; popq %r14; popq %r15\n"
    "    movq $fuzz_frame, %rsp\n"
    "    iretq\n"
    ".globl bytes_done\n"
    "bytes_done:\n"
    "    popq %r15; popq %r14; popq %r13; popq %r12; popq %rbp; popq %rbx\n"
    "    ret\n");

/* Whatever comes ends the piece. */
static void end_piece(struct Trapframe *tf)
{
    *tf = (struct Trapframe){ .tf_rip = (uint64_t)bytes_done,
                              .tf_cs = SEL_KCODE,
                              .tf_rflags = FL_ONE,
                              .tf_rsp = fuzz_rsp,
                              .tf_ss = SEL_KDATA };
}

static uint64_t random_value(void)
{
    static const uint64_t some[] = { 0,          1,         7,         CODE_VA,   DATA_VA,
                                     0xc0000080, 0x1b,      0x830,     0x832,     0x3f8,
                                     0xd0000000, 1ul << 32, 1ul << 40, 1ul << 47, ~0ul };
    uint64_t x = roll() % 4 ? some[roll() % ARRAY_SIZE(some)] : roll() << roll() % 34;
    return roll() % 2 ? x : x + roll() % 8;
}

static void run_piece(void)
{
    bool user = roll() % 3 == 0;
    uint64_t flags = roll() & (FL_TF | FL_AC | FL_DF | FL_NT_BIT);
    make_code(code);
    for (unsigned i = 0; i < NREGS; i++)
        fuzz_regs[i] = random_value();
    fuzz_frame[0] = CODE_VA;
    fuzz_frame[1] = user ? SEL_UCODE : SEL_KCODE;
    fuzz_frame[2] = FL_ONE | FL_IF | (roll() % 4 ? 0 : flags);
    fuzz_frame[3] = DATA_VA + PGSIZE_2M / 2;
    fuzz_frame[4] = user ? SEL_UDATA : SEL_KDATA;
    wrmsr(X2APIC_INITCNT, TIME_LIMIT);
    run_bytes();
    wrmsr(X2APIC_INITCNT, 0);
    wrmsr(X2APIC_EOI, 0);
}

struct Kept {
    uint64_t cr0, cr3, cr4, efer;
    struct Pseudodesc gdt, idt;
};

static void keep(struct Kept *k)
{
    *k = (struct Kept){ .cr0 = rcr0(), .cr3 = rcr3(), .cr4 = rcr4(), .efer = rdmsr(MSR_EFER) };
    asm volatile("sgdt %0; sidt %1" : "=m"(k->gdt), "=m"(k->idt));
}

static void restore(const struct Kept *k)
{
    lcr0(k->cr0);
    lcr4(k->cr4);
    lcr3(k->cr3);
    wrmsr(MSR_EFER, k->efer);
    asm volatile("lgdt %0; lidt %1; mov %2, %%dr7; movq %2, %%cr8"
                 :
                 : "m"(k->gdt), "m"(k->idt), "r"(0ul));
    wrmsr(X2APIC_SVR, SVR_ENABLE | 0xff);
    wrmsr(X2APIC_LVT_TIMER, VECTOR);
}

/* Where there is no memory, most guests have nothing mapped, so that a wild access ends the piece
 * and not the guest. */
static void unmap_nowhere(void)
{
    uint64_t *pdpt = (uint64_t *)PTE_ADDR(boot_pml4[0]), *pd = (uint64_t *)PTE_ADDR(pdpt[0]);
    for (uint64_t i = memory_end() / PGSIZE_2M; i < NPTENTRIES; i++)
        pd[i] = 0;
    lcr3(rcr3());
}

static int long_mode(uint64_t runs)
{
    struct Kept kept;
    if (!apic_enable())
        return check_result();
    if (roll() % 8)
        unmap_nowhere();
    map_4k(CODE_VA, (uint64_t)code, PTE_P | PTE_U);
    map_2m(DATA_VA, (uint64_t)data, PTE_P | PTE_U | PTE_W);
    for (int v = 0; v < 256; v++) {
        trap_handlers[v] = end_piece;
        set_ist(v, 1, trap_stack + sizeof(trap_stack));
    }
    wrmsr(X2APIC_DIVIDE, DIVIDE_BY_1);
    wrmsr(X2APIC_LVT_TIMER, VECTOR);
    keep(&kept);
    for (uint64_t i = 0; i < runs; i++) {
        print(".");
        run_piece();
        restore(&kept);
    }
    return 0;
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    state = word("seed=", 1);
    if (cmdline_has("mode=long"))
        return long_mode(word("runs=", 100));
    print(".");
    if (cmdline_has("mode=real")) {
        make_code((uint8_t *)REAL_BYTES);
        real_bytes = 1;
        leave_long_mode(go_real);
    }
    make_code(data);
    leave_long_mode(data);
}
