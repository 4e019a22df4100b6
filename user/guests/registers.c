/*
 * registers: an exit changes no register but those that its instruction names. General and SSE
 * registers, debug registers, CR2, CR8 and the MSRs that the VMM switches are filled with patterns,
 * and compared after exits that the kernel handles, that the monitor handles, and that other envs
 * run in.
 */
#include "rt.h"

const char guest_name[] = "registers";

#define NGENERAL   13 /* all but rax, rsp and rbp, in the order of ORDER */
#define NSSE       16
#define FREE_PORT  0x80
#define FRESH      0x1800000ul /* memory that nothing has touched */
#define FRESH_STEP 0x100000ul
#define VEC        0x41
#define DELAY      200000

struct State {
    uint64_t general[NGENERAL];
    uint64_t sse[NSSE][2];
};

struct State state_in, state_out;
uint64_t state_rax;

#define MOVE_GENERAL(op)                                                                  \
    op(0, rbx) op(1, rcx) op(2, rdx) op(3, rsi) op(4, rdi) op(5, r8) op(6, r9) op(7, r10) \
        op(8, r11) op(9, r12) op(10, r13) op(11, r14) op(12, r15)
#define MOVE_SSE(op)                                                                               \
    op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11) op(12) op(13) op(14) \
        op(15)
#define LOAD_GENERAL(i, r)  "movq state_in + 8 * " #i ", %%" #r "\n\t"
#define STORE_GENERAL(i, r) "movq %%" #r ", state_out + 8 * " #i "\n\t"
#define SSE_AT              "8 * 13 + 16 * "
#define LOAD_SSE(i)         "movups state_in + " SSE_AT #i ", %%xmm" #i "\n\t"
#define STORE_SSE(i)        "movups %%xmm" #i ", state_out + " SSE_AT #i "\n\t"
_Static_assert(offsetof(struct State, sse) == 8 * NGENERAL, "SSE_AT");

/* Fill the registers, execute text with this value in rax, and look at what they hold then. */
#define ACROSS(what, text, a)                                                                     \
    do {                                                                                          \
        trying("%s", what);                                                                       \
        fill();                                                                                   \
        state_rax = (a);                                                                          \
        asm volatile(MOVE_SSE(LOAD_SSE)                                                           \
                         MOVE_GENERAL(LOAD_GENERAL) "movq state_rax, %%rax\n\t" text              \
                                                    "\n\t" MOVE_GENERAL(STORE_GENERAL)            \
                                                        MOVE_SSE(STORE_SSE)                       \
                     :                                                                            \
                     :                                                                            \
                     : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", \
                       "r13", "r14", "r15", "memory", "cc");                                      \
        compare(what);                                                                            \
    } while (0)

static uint64_t seed = 1;

static uint64_t pattern(void)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return seed;
}

static void fill(void)
{
    for (unsigned i = 0; i < NGENERAL; i++)
        state_in.general[i] = pattern();
    for (unsigned i = 0; i < NSSE; i++)
        state_in.sse[i][0] = pattern(), state_in.sse[i][1] = pattern();
}

static void compare(const char *what)
{
    static const char *const names[NGENERAL] = { "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9",
                                                 "r10", "r11", "r12", "r13", "r14", "r15" };
    for (unsigned i = 0; i < NGENERAL; i++)
        check(state_in.general[i] == state_out.general[i], "%s changed %s from 0x%lx to 0x%lx",
              what, names[i], state_in.general[i], state_out.general[i]);
    for (unsigned i = 0; i < NSSE; i++)
        check(memcmp(state_in.sse[i], state_out.sse[i], 16) == 0, "%s changed xmm%u", what, i);
}

static void on_interrupt(struct Trapframe *tf)
{
    (void)tf;
    wrmsr(X2APIC_EOI, 0);
}

static void exits_keep_registers(void)
{
    ACROSS("an I/O instruction", "outb %%al, $0x80", 0);
    if (hypercall_is_vmmcall)
        ACROSS("a hypercall", "vmmcall", VMX_VMCALL_NULL);
    else
        ACROSS("a hypercall", "vmcall", VMX_VMCALL_NULL);
    ACROSS("an EPT violation", "movb $1, (%%rax)", FRESH);
    ACROSS("another EPT violation", "lock incq (%%rax)", FRESH + FRESH_STEP);
    ACROSS("a write to CR4", "movq %%rax, %%cr4", rcr4());
    ACROSS("an invalidation of the caches", "wbinvd", 0);

    trap_handlers[VEC] = on_interrupt;
    wrmsr(X2APIC_DIVIDE, DIVIDE_BY_1);
    wrmsr(X2APIC_LVT_TIMER, VEC);
    wrmsr(X2APIC_INITCNT, DELAY);
    ACROSS("a halt", "sti; hlt; cli", 0);
}

static const uint32_t msrs[] = { MSR_STAR,    MSR_LSTAR,   MSR_CSTAR,         MSR_SFMASK,
                                 MSR_FS_BASE, MSR_GS_BASE, MSR_KERNEL_GS_BASE };

/* A value that each of them takes: canonical, with reserved bits clear. */
static uint64_t msr_pattern(uint32_t msr)
{
    uint64_t mask = msr == MSR_SFMASK ? 0xffffffff : msr == MSR_STAR ? ~0ul : 0x7fffffffffff;
    return pattern() & mask;
}

static void exits_keep_system_registers(void)
{
    uint64_t want[ARRAY_SIZE(msrs)], dr0 = pattern() & 0x7fffffffffff;

    trying("MSRs, debug registers, CR2 and CR8");
    for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++)
        wrmsr(msrs[i], want[i] = msr_pattern(msrs[i]));
    ldr0(dr0);
    ldr3(dr0 + 1);
    lcr2(0x123456789abc);
    asm volatile("movq %0, %%cr8" : : "r"(5ul));
    outb(FREE_PORT, 0);
    *(volatile uint8_t *)(FRESH + 2 * FRESH_STEP) = 1;
    cpuid(0, 0);

    for (unsigned i = 0; i < ARRAY_SIZE(msrs); i++)
        check(rdmsr(msrs[i]) == want[i], "MSR 0x%x is 0x%lx, not 0x%lx", msrs[i], rdmsr(msrs[i]),
              want[i]);
    check(rdr0() == dr0 && rdr3() == dr0 + 1, "DR0 is 0x%lx, DR3 0x%lx", rdr0(), rdr3());
    check(rcr2() == 0x123456789abc, "CR2 is 0x%lx", rcr2());
    uint64_t cr8;
    asm volatile("movq %%cr8, %0" : "=r"(cr8));
    check(cr8 == 5, "CR8 is %lu", cr8);
    asm volatile("movq %0, %%cr8" : : "r"(0ul));
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    if (!on_jos_vmm() || !apic_enable())
        return check_result();
    exits_keep_registers();
    exits_keep_system_registers();
    return check_result();
}
