/*
 * apic-modes: IA32_APIC_BASE. Which modes follow each other, what a change does to the registers,
 * and where their page is: moved to where nothing is, over RAM, and away again. With the word
 * "bare" it takes each step once, since Bochs' machine lets nobody enable an APIC again; it also
 * does not make LDR anew in x2APIC mode. QEMU's machine of version 7.2 has one mode only.
 */
#include "rt.h"

const char guest_name[] = "apic-modes";

#define MODE_BITS       (APIC_BASE_EN | APIC_BASE_EXTD)
#define BSP             (1ul << 8)
#define CPUID1_EDX_APIC (1u << 9)
#define DISABLED        0
#define XAPIC           APIC_BASE_EN
#define X2APIC          (APIC_BASE_EN | APIC_BASE_EXTD)
#define INVALID         APIC_BASE_EXTD
#define TPR             0x35
#define VEC             0x41
#define NOWHERE         0xd0000000ul /* no RAM is there */
#define COLD            0x1800000ul  /* RAM that nothing has touched */
#define LARGE           0x1400000ul /* this VMM maps it by a large page, once the guest has grown */
#define GROWN           0xa00000ul  /* where it grows */
#define PATTERN         0x5a5a1234u
#define ONES            0xffffffffu
#define WORD            12 /* of a page that has the APIC's registers: the version */

static uint32_t own[3 * PGSIZE / 4] __attribute__((aligned(PGSIZE)));

/* Memory that the compiler knows no bounds of. */
static uint32_t *memory_at(uint64_t address)
{
    asm("" : "+r"(address));
    return (uint32_t *)address;
}

/* Write the MSR; the exception's vector, or -1. */
static int write_base(uint64_t base)
{
    return CATCH("wrmsr", (uint32_t)base, MSR_APIC_BASE, base >> 32);
}

static void go(uint64_t base)
{
    int trap = write_base(base);
    check(trap < 0 && rdmsr(MSR_APIC_BASE) == base, "to 0x%lx: trap %d, 0x%lx", base, trap,
          rdmsr(MSR_APIC_BASE));
}

/* To this mode by legal steps, by way of a disabled APIC. */
static void bring_to(uint64_t mode)
{
    go(APIC_PAGE | BSP);
    if (mode != DISABLED)
        go(APIC_PAGE | BSP | XAPIC);
    if (mode == X2APIC)
        go(APIC_PAGE | BSP | X2APIC);
}

static void try_transitions(void)
{
    static const uint64_t modes[] = { DISABLED, XAPIC, X2APIC, INVALID };
    static const bool legal[3][4] = {
        { true, true, false, false }, /* from disabled */
        { true, true, true, false },  /* from xAPIC mode */
        { true, false, true, false }, /* from x2APIC mode */
    };
    trying("each change of mode");
    for (int from = 0; from < 3; from++)
        for (int to = 0; to < 4; to++) {
            bring_to(modes[from]);
            int trap = write_base(APIC_PAGE | BSP | modes[to]);
            check(trap == (legal[from][to] ? -1 : T_GPFLT), "0x%lx to 0x%lx: trap %d", modes[from],
                  modes[to], trap);
            uint64_t now = rdmsr(MSR_APIC_BASE) & MODE_BITS,
                     want = modes[legal[from][to] ? to : from];
            check(now == want, "0x%lx to 0x%lx: it is 0x%lx", modes[from], modes[to], now);
        }
}

static void try_cpuid(void)
{
    static const uint64_t modes[] = { DISABLED, XAPIC, X2APIC, DISABLED, XAPIC };
    trying("CPUID");
    for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
        bring_to(modes[i]);
        bool there = cpuid(1, 0).edx & CPUID1_EDX_APIC;
        check(there == (modes[i] != DISABLED), "in mode 0x%lx it says %d", modes[i], there);
    }
}

static void refuses_reserved(void)
{
    uint32_t width = cpuid(0x80000008, 0).eax & 0xff;
    uint64_t base = rdmsr(MSR_APIC_BASE);
    for (uint32_t bit = 0; bit < 64; bit++) {
        bool reserved = bit < 8 || bit == 9 || bit >= width;
        int trap = reserved ? write_base(base | 1ul << bit) : T_GPFLT;
        check(trap == T_GPFLT, "bit %u: trap %d", bit, trap);
    }
    check(rdmsr(MSR_APIC_BASE) == base, "it has changed");
}

static void try_reserved(void)
{
    trying("reserved bits");
    for (int mode = 0; mode < 2; mode++) {
        bring_to(mode ? X2APIC : XAPIC);
        refuses_reserved();
    }
}

static void refuses_msrs(void)
{
    for (uint32_t msr = MSR_X2APIC; msr < MSR_X2APIC + 0x100; msr++) {
        check(CATCH("rdmsr", 0, msr, 0) == T_GPFLT, "RDMSR of 0x%x", msr);
        check(CATCH("wrmsr", 0, msr, 0) == T_GPFLT, "WRMSR of 0x%x", msr);
    }
}

/* The registers are by MSRs in x2APIC mode only, and in memory in xAPIC mode only. */
static void try_ways(void)
{
    trying("the two ways to the registers");
    bring_to(X2APIC);
    uint32_t version = rdmsr(X2APIC_VERSION);
    check(xapic_read(X2APIC_VERSION) == ONES, "the page is there in x2APIC mode");
    bring_to(XAPIC);
    check(xapic_read(X2APIC_VERSION) == version, "the page says 0x%x", xapic_read(X2APIC_VERSION));
    refuses_msrs();
    bring_to(DISABLED);
    check(xapic_read(X2APIC_VERSION) == ONES, "the page of a disabled APIC");
    check(CATCH("rdmsr", 0, X2APIC_VERSION, 0) == T_GPFLT, "an MSR of a disabled APIC");
}

/* From xAPIC mode to x2APIC mode. */
static void keeps_state(void)
{
    xapic_write(X2APIC_SVR, SVR_ENABLE | 0xcd);
    xapic_write(X2APIC_TPR, TPR);
    xapic_write(X2APIC_LDR, 0x80000000);
    xapic_write(X2APIC_LVT_ERROR, VEC);
    xapic_write(X2APIC_ICR, ICR_SELF | VEC);
    go(APIC_PAGE | BSP | X2APIC);
    check(rdmsr(X2APIC_TPR) == TPR, "TPR is 0x%lx", rdmsr(X2APIC_TPR));
    check(rdmsr(X2APIC_SVR) == (SVR_ENABLE | 0xcd), "SVR is 0x%lx", rdmsr(X2APIC_SVR));
    check(rdmsr(X2APIC_LVT_ERROR) == VEC, "LVT is 0x%lx", rdmsr(X2APIC_LVT_ERROR));
    check(rdmsr(X2APIC_IRR + VEC / 32) & 1u << VEC % 32, "the interrupt is lost");
    check(cmdline_has("bare") || rdmsr(X2APIC_LDR) == 1, "LDR is 0x%lx", rdmsr(X2APIC_LDR));
}

/* From xAPIC to x2APIC mode they stay; disabling the APIC resets them. */
static void try_state(void)
{
    trying("what changes of mode do to the registers");
    bring_to(XAPIC);
    keeps_state();
    bring_to(XAPIC);
    check(xapic_read(X2APIC_TPR) == 0, "TPR is 0x%x after reset", xapic_read(X2APIC_TPR));
    check(xapic_read(X2APIC_SVR) == 0xff, "SVR is 0x%x after reset", xapic_read(X2APIC_SVR));
    check(xapic_read(X2APIC_LVT_ERROR) == LVT_MASKED, "LVT is 0x%x", xapic_read(X2APIC_LVT_ERROR));
    check(xapic_read(X2APIC_IRR + VEC / 32) == 0, "the interrupt is there after reset");
}

/* Map the page for accesses that are not cached, and look what is there. */
static uint32_t version_at(uint64_t page)
{
    return *xapic_at(page, X2APIC_VERSION);
}

static void try_nowhere(void)
{
    trying("the page where no memory is");
    map_2m(NOWHERE, NOWHERE, PTE_P | PTE_W | PTE_PCD);
    uint32_t version = version_at(APIC_PAGE);
    go(NOWHERE | BSP | XAPIC);
    check(version_at(NOWHERE) == version, "it is not there");
    check(version_at(APIC_PAGE) == ONES, "it is still where it was");
    check(version_at(NOWHERE + PGSIZE) == ONES, "it is one page later, too");
    *xapic_at(NOWHERE, X2APIC_TPR) = TPR;
    go(APIC_PAGE | BSP | XAPIC);
    check(xapic_read(X2APIC_TPR) == TPR, "the registers have not moved with it");
    check(version_at(NOWHERE) == ONES, "it has stayed");
}

/* Over a page of RAM and back. */
static void cover(const char *what, uint32_t *page)
{
    uint64_t at = (uint64_t)page;
    trying("the page over RAM: %s", what);
    bring_to(XAPIC);
    uint32_t version = version_at(APIC_PAGE), before = page[WORD];
    go(at | BSP | XAPIC);
    check(version_at(at) == version, "it is not there but 0x%x", version_at(at));
    *xapic_at(at, X2APIC_TPR) = TPR;
    check(*xapic_at(at, X2APIC_TPR) == TPR, "TPR is 0x%x", *xapic_at(at, X2APIC_TPR));
    check(page[-1] == PATTERN && page[PGSIZE / 4] == PATTERN, "its neighbours have changed");
    go(APIC_PAGE | BSP | XAPIC);
    check(xapic_read(X2APIC_TPR) == TPR, "the registers have not moved with it");
    check(page[WORD] == before, "RAM is not back");

    go(at | BSP | XAPIC);
    go(at | BSP | X2APIC);
    check(page[WORD] == before, "hidden in x2APIC mode");
    go(at | BSP);
    go(at | BSP | XAPIC);
    go(at | BSP);
    check(page[WORD] == before, "hidden by a disabled APIC");
}

static void fill(uint32_t *page)
{
    page[-1] = page[PGSIZE / 4] = PATTERN;
    for (size_t i = 0; i < PGSIZE / 4; i++)
        page[i] = PATTERN + i;
}

static void check_filled(const uint32_t *page)
{
    for (size_t i = 0; i < PGSIZE / 4; i++)
        if (page[i] != PATTERN + i) {
            check_failed("word %lu of RAM is 0x%x", i, page[i]);
            return;
        }
}

static void try_ram(void)
{
    uint32_t *cold = memory_at(COLD), *large = memory_at(LARGE);
    uint32_t *ram = memory_at((uint64_t)own + PGSIZE);
    fill(ram);
    cover("the guest's own", ram);
    check_filled(ram);
    cold[-1] = cold[PGSIZE / 4] = PATTERN;
    cover("untouched", cold);
    check(cold[0] == 0 && cold[PGSIZE / 4 - 1] == 0, "it is not zero");
    for (uint64_t page = GROWN; page < GROWN + PGSIZE_2M; page += PGSIZE)
        *(volatile uint8_t *)page = 1;
    fill(large);
    cover("a large page's", large);
    check_filled(large);
}

/* What others than the guest's CPU access there is the RAM. */
static void try_dma(void)
{
    static const char text[] = "apic-modes: these words come from the RAM that the APIC hides\n";
    trying("hypercalls with what is hidden");
    uint32_t *ram = memory_at((uint64_t)own + PGSIZE);
    memcpy(ram, text, sizeof(text));
    bring_to(XAPIC);
    go((uint64_t)ram | BSP | XAPIC);
    int64_t n = hypercall(VMX_VMCALL_CONS_WRITE, (uint64_t)ram, sizeof(text) - 1, 0, 0);
    check(n == sizeof(text) - 1, "the text is refused: %ld", n);
    bring_to(DISABLED);
    check(memcmp(ram, text, sizeof(text)) == 0, "the text has changed");
}

static void refuses_mode(uint64_t mode)
{
    uint64_t base = rdmsr(MSR_APIC_BASE);
    int trap = write_base(APIC_PAGE | BSP | mode);
    check(trap == T_GPFLT && rdmsr(MSR_APIC_BASE) == base, "0x%lx to mode 0x%lx: trap %d", base,
          mode, trap);
}

/* From xAPIC mode by x2APIC mode to a disabled APIC. */
static void try_one_way(void)
{
    trying("xAPIC mode");
    go(APIC_PAGE | BSP | XAPIC);
    refuses_mode(INVALID);
    refuses_reserved();
    refuses_msrs();
    uint32_t version = xapic_read(X2APIC_VERSION);
    try_nowhere();
    trying("x2APIC mode");
    keeps_state();
    go(APIC_PAGE | BSP | X2APIC);
    refuses_mode(XAPIC);
    refuses_mode(INVALID);
    refuses_reserved();
    check(rdmsr(X2APIC_VERSION) == version, "the version is 0x%lx", rdmsr(X2APIC_VERSION));
    check(xapic_read(X2APIC_VERSION) != version, "the page is there");
    check(cpuid(1, 0).edx & CPUID1_EDX_APIC, "CPUID denies it");
    trying("a disabled APIC");
    go(APIC_PAGE | BSP);
    check(!(cpuid(1, 0).edx & CPUID1_EDX_APIC), "CPUID knows of it");
    refuses_msrs();
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    map_2m(APIC_PAGE, APIC_PAGE, PTE_P | PTE_W | PTE_PCD);
    if (cmdline_has("bare")) {
        try_one_way();
        return check_result();
    }
    try_transitions();
    try_cpuid();
    try_reserved();
    try_ways();
    try_state();
    bring_to(XAPIC);
    try_nowhere();
    try_ram();
    try_dma();
    bring_to(XAPIC);
    return check_result();
}
