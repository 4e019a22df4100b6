/*
 * apic-hostile: what a guest can do to itself with its local APIC, and to nobody else. The word on
 * the command line says what: most of them end the guest.
 *   tables stack code idt   the APIC's page over these
 *   init                    INIT to its own CPU
 *   storm                   interrupts that send themselves again, of all vectors, for a while
 *   moves                   the page goes all over RAM, with accesses in between
 */
#include "rt.h"

const char guest_name[] = "apic-hostile";

#define BSP        (1ul << 8)
#define FIRST      32
#define STORM      20000
#define MOVES      3000
#define RAM_FROM   0x800000ul
#define RAM_PAGES  512
#define ICR_INIT   (5 << 8)
#define ICR_ASSERT (1 << 14)
#define ICR_ALL    (2 << 18)

extern uint64_t boot_pml4[];

static uint8_t code[PGSIZE] __attribute__((aligned(PGSIZE)));
static uint8_t stack[2][PGSIZE] __attribute__((aligned(PGSIZE)));
static struct Gatedesc idt[256] __attribute__((aligned(PGSIZE)));
static volatile uint64_t storms;

static void move_to(const volatile void *page)
{
    wrmsr(MSR_APIC_BASE, (uint64_t)page | BSP | APIC_BASE_EN);
}

static void over_tables(void)
{
    move_to(boot_pml4);
    asm volatile("movq %%cr3, %%rax; movq %%rax, %%cr3" : : : "rax", "memory");
}

static void over_stack(void)
{
    uint64_t top = (uint64_t)stack[1];
    stack[0][0] = 1;
    move_to(stack[0]);
    asm volatile("movq %0, %%rsp; pushq $1; popq %%rax" : : "r"(top) : "memory");
}

static void over_code(void)
{
    code[0] = 0xc3; /* RET */
    asm volatile("call *%0" : : "r"(code) : "memory");
    move_to(code);
    asm volatile("call *%0" : : "r"(code) : "memory");
}

static void over_idt(void)
{
    struct Pseudodesc desc = { sizeof(idt) - 1, (uint64_t)idt };
    memcpy(idt, rt_idt, sizeof(idt));
    asm volatile("lidt %0; int3" : : "m"(desc));
    move_to(idt);
    asm volatile("int3");
}

static void init_self(void)
{
    xapic_write(X2APIC_ICR, ICR_INIT | ICR_ASSERT | ICR_SELF); /* means nothing */
    xapic_write(X2APIC_ICR, ICR_INIT | ICR_ASSERT | ICR_ALL);
    print("apic-hostile: still here\n");
    xapic_write(XAPIC_ICR_HIGH, 0);
    xapic_write(X2APIC_ICR, ICR_INIT | ICR_ASSERT);
}

static void on_storm(struct Trapframe *tf)
{
    if (++storms < STORM)
        for (uint32_t v = FIRST; v < 256; v += 7)
            xapic_write(X2APIC_ICR, ICR_SELF | ((v + tf->tf_trapno) % 224 + FIRST));
    xapic_write(X2APIC_EOI, 0);
}

static void storm(void)
{
    for (uint32_t v = FIRST; v < 256; v++)
        trap_handlers[v] = on_storm;
    xapic_write(X2APIC_ICR, ICR_SELF | 0x80);
    while (storms < STORM)
        asm volatile("sti; nop; cli" ::: "memory");
    asm volatile("sti; nop; cli" ::: "memory");
    for (uint32_t i = 0; i < 300; i++)
        asm volatile("sti; nop; nop; cli" ::: "memory");
    for (uint32_t i = 0; i < 8; i++)
        check(xapic_read(X2APIC_ISR + i) == 0, "ISR %u is 0x%x", i, xapic_read(X2APIC_ISR + i));
}

/* Each page holds its number, whatever has been over it. */
static void moves(void)
{
    uint64_t state = 1;
    for (uint64_t i = 0; i < RAM_PAGES; i++)
        *(volatile uint64_t *)(RAM_FROM + i * PGSIZE) = i;
    uint32_t version = xapic_read(X2APIC_VERSION);
    for (unsigned n = 0; n < MOVES; n++) {
        state = state * 6364136223846793005ul + 1442695040888963407ul;
        uint64_t at = RAM_FROM + (state >> 33) % RAM_PAGES * PGSIZE;
        move_to((void *)at);
        check(*xapic_at(at, X2APIC_VERSION) == version, "no APIC at 0x%lx", at);
    }
    move_to((void *)APIC_PAGE);
    for (uint64_t i = 0; i < RAM_PAGES; i++)
        check(*(volatile uint64_t *)(RAM_FROM + i * PGSIZE) == i, "page %lu is not back", i);
}

static const struct {
    const char *word;
    void (*go)(void);
} attacks[] = {
    { "tables", over_tables }, { "stack", over_stack }, { "code", over_code }, { "idt", over_idt },
    { "init", init_self },     { "storm", storm },      { "moves", moves },
};

static void on_int3(struct Trapframe *tf)
{
    (void)tf;
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    xapic_enable();
    trap_handlers[T_BRKPT] = on_int3;
    for (size_t i = 0; i < ARRAY_SIZE(attacks); i++)
        if (cmdline_has(attacks[i].word)) {
            trying("%s", attacks[i].word);
            attacks[i].go();
            return check_result();
        }
    check_failed("no word says what to do");
    return check_result();
}
