/*
 * bench: what exits cost, in TSC ticks, seen from inside. With `vmm -p` page-fault is that of a
 * fault which the VMM intercepts, verifies and injects. Prints a line `BENCH name MIN MEDIAN MAX`
 * for each operation, out of 1000 samples; the cost of reading the TSC twice is taken off. With the
 * word out-forever it does nothing but OUTs for its monitor, which others count.
 */
#include <inc/uart.h>
#include "rt.h"

const char guest_name[] = "bench";

#define SAMPLES     1000
#define VEC         0x41
#define LINE        80    /* bytes */
#define IDLE_PORT   0x80  /* answered by the VMM itself */
#define FREE_PORT   0x180 /* the monitor finds no device there */
#define VEC_TIMER   0x42
#define VEC_SERVE   0x43 /* its handler leaves it in service */
#define UNMAPPED_VA 0x40000000ul
#define STORE_LEN   2
/* Memory that is touched, by regions of 2 MiB: those that have got a small page, since the guest
 * was small then, which go on by small pages; and those that come whole. */
#define REGION        PGSIZE_2M
#define SMALL_FROM    0x800000ul
#define SMALL_REGIONS 4
#define SMALL_STEP    0x10000ul /* what the VMM populates there at a time */
#define SMALL_SAMPLES (REGION / SMALL_STEP - 1)
#define LARGE_FROM    (SMALL_FROM + SMALL_REGIONS * REGION)
#define LARGE_SAMPLES 16

#define STRING(x)  STRING_(x)
#define STRING_(x) #x

static uint64_t samples[SAMPLES];
static uint64_t overhead;
static uint64_t small_exit_at = SMALL_FROM + SMALL_STEP;
static uint64_t small_page_at = SMALL_FROM + REGION;
static uint64_t large_exit_at = LARGE_FROM;
static uint64_t large_page_at = LARGE_FROM + LARGE_SAMPLES * REGION;
static uint64_t efer;

/* The shortest handlers that do it, so that the VMM is measured and not them: EOI; and going on
 * after the store that faulted. */
void eoi_handler(void);
void skip_store_handler(void);
void serve_handler(void);
asm("eoi_handler:\n"
    "    pushq %rax\n"
    "    pushq %rcx\n"
    "    pushq %rdx\n"
    "    movl $" STRING(X2APIC_EOI) ", %ecx\n"
                                    "    xorl %eax, %eax\n"
                                    "    xorl %edx, %edx\n"
                                    "    wrmsr\n"
                                    "    popq %rdx\n"
                                    "    popq %rcx\n"
                                    "    popq %rax\n"
                                    "    iretq\n"
                                    "skip_store_handler:\n"
                                    "    addq $8, %rsp\n" /* the error code */
                                    "    addq $" STRING(STORE_LEN) ", (%rsp)\n"
                                                                   "    iretq\n"
                                                                   "serve_handler:\n"
                                                                   "    iretq\n");

static void nothing(void)
{
}

static inline void do_cpuid(void)
{
    uint32_t leaf = 1, subleaf = 0;
    asm volatile("cpuid" : "+a"(leaf), "+c"(subleaf) : : "rbx", "rdx");
}

static inline void do_vmcall(void)
{
    int64_t result;
    asm volatile("vmcall" : "=a"(result) : "a"(VMX_VMCALL_NULL) : "memory");
}

static inline void do_vmmcall(void)
{
    int64_t result;
    asm volatile("vmmcall" : "=a"(result) : "a"(VMX_VMCALL_NULL) : "memory");
}

static inline void do_rdmsr(void)
{
    efer = rdmsr(MSR_EFER);
}

static inline void do_wrmsr(void)
{
    wrmsr(MSR_EFER, efer);
}

static inline void do_apic_read(void)
{
    rdmsr(X2APIC_ID);
}

static inline void do_xapic_id(void)
{
    xapic_read(X2APIC_ID);
}

static inline void do_xapic_eoi(void)
{
    xapic_write(X2APIC_EOI, 0);
}

static inline void do_x2apic_eoi(void)
{
    wrmsr(X2APIC_EOI, 0);
}

static void serve_x2apic(void)
{
    wrmsr(X2APIC_SELF, VEC_SERVE);
}

static void serve_xapic(void)
{
    xapic_write(X2APIC_ICR, ICR_SELF | VEC_SERVE);
}

static inline void do_out(void)
{
    outb(FREE_PORT, 0);
}

static inline void do_in(void)
{
    inb(FREE_PORT);
}

static inline void do_out_kernel(void)
{
    outb(IDLE_PORT, 0);
}

static inline void do_in_kernel(void)
{
    inb(IDLE_PORT);
}

/* As Linux prints: a look at the line status before each byte. */
static inline void do_uart_char(void)
{
    static unsigned n;
    while (!(inb(COM1 + COM_LSR) & LSR_THRE))
        continue;
    outb(COM1 + COM_DATA, ++n % LINE == 0 ? '\n' : 'x');
}

static inline void do_self_ipi(void)
{
    wrmsr(X2APIC_SELF, VEC);
}

/* A deadline in the past: the interrupt comes at once. */
static inline void do_timer(void)
{
    wrmsr(MSR_TSC_DEADLINE, 1);
}

static inline void do_page_fault(void)
{
    asm volatile("movb %%al, (%%rdi)" : : "D"(UNMAPPED_VA) : "memory"); /* STORE_LEN bytes */
}

static inline void touch(uint64_t *at, uint64_t step)
{
    *(volatile uint8_t *)*at = 1;
    *at += step;
}

static inline void do_small_exit(void)
{
    touch(&small_exit_at, SMALL_STEP);
}

static inline void do_small_page(void)
{
    touch(&small_page_at, PGSIZE);
}

static inline void do_large_exit(void)
{
    touch(&large_exit_at, REGION);
}

static inline void do_large_page(void)
{
    touch(&large_page_at, PGSIZE);
}

/* Sorted in place: shell sort. */
static void sort(unsigned n)
{
    for (unsigned gap = n / 2; gap > 0; gap /= 2)
        for (unsigned i = gap; i < n; i++) {
            uint64_t v = samples[i];
            unsigned j = i;
            for (; j >= gap && samples[j - gap] > v; j -= gap)
                samples[j] = samples[j - gap];
            samples[j] = v;
        }
}

/* Inlined together with the operation, so that no call is measured with it. */
static inline void __attribute__((always_inline)) measure(void (*op)(void), unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        uint64_t start = read_tsc();
        op();
        uint64_t ticks = read_tsc() - start;
        samples[i] = ticks > overhead ? ticks - overhead : 0;
    }
}

/* The same of an EOI; before each, an interrupt is taken that is then in service. */
static inline void __attribute__((always_inline))
measure_eoi(void (*serve)(void), void (*eoi)(void), unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        serve();
        uint64_t start = read_tsc();
        eoi();
        uint64_t ticks = read_tsc() - start;
        samples[i] = ticks > overhead ? ticks - overhead : 0;
    }
}

/* The line is on the console before the next measurement: the VMM collects what a guest prints, and
 * would show it in the midst of that. */
static void print_ticks(const char *name, uint64_t min, uint64_t median, uint64_t max)
{
    print("BENCH %s %lu %lu %lu\n", name, min, median, max);
    do_out();
}

static void report(const char *name, unsigned n)
{
    sort(n);
    print_ticks(name, samples[0], samples[n / 2], samples[n - 1]);
}

/* The mean over all pages, since most come with a neighbour's exit. */
static void report_mean(const char *name, unsigned n)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < n; i++)
        sum += samples[i];
    print_ticks(name, sum / n, sum / n, sum / n);
}

/* Name, operation, number of samples, what is printed. */
#define OPERATIONS(X)                                                \
    X("cpuid-exit", do_cpuid, SAMPLES, report)                       \
    X("vmcall-null", do_vmcall, SAMPLES, report)                     \
    X("vmmcall-null", do_vmmcall, SAMPLES, report)                   \
    X("rdmsr-efer", do_rdmsr, SAMPLES, report)                       \
    X("wrmsr-efer", do_wrmsr, SAMPLES, report)                       \
    X("rdmsr-apic", do_apic_read, SAMPLES, report)                   \
    X("out-kernel", do_out_kernel, SAMPLES, report)                  \
    X("in-kernel", do_in_kernel, SAMPLES, report)                    \
    X("out-monitor", do_out, SAMPLES, report)                        \
    X("in-monitor", do_in, SAMPLES, report)                          \
    X("uart-char", do_uart_char, SAMPLES / LINE * LINE, report_mean) \
    X("self-ipi", do_self_ipi, SAMPLES, report)                      \
    X("timer-interrupt", do_timer, SAMPLES, report)                  \
    X("page-fault", do_page_fault, SAMPLES, report)                  \
    X("ept-violation", do_small_exit, SMALL_SAMPLES, report)         \
    X("ept-page", do_small_page, SAMPLES, report_mean)               \
    X("ept-violation-2m", do_large_exit, LARGE_SAMPLES, report)      \
    X("ept-page-2m", do_large_page, SAMPLES, report_mean)

static void measure_x2apic_eoi(void)
{
    measure_eoi(serve_x2apic, do_x2apic_eoi, SAMPLES);
}

/* The last measurements are in xAPIC mode. */
static void measure_xapic_eoi(void)
{
    xapic_enable();
    measure_eoi(serve_xapic, do_xapic_eoi, SAMPLES);
}

static void measure_xapic_id(void)
{
    xapic_enable();
    measure(do_xapic_id, SAMPLES);
}

#define MEASURE(name, op, n, report) \
    static void measure_##op(void)   \
    {                                \
        measure(op, n);              \
    }
OPERATIONS(MEASURE)
#undef MEASURE

static const struct {
    const char *name;
    void (*measure)(void);
    unsigned samples;
    void (*report)(const char *name, unsigned n);
} operations[] = {
#define OPERATION(name, op, n, report) { name, measure_##op, n, report },
    OPERATIONS(OPERATION)
#undef OPERATION
        { "x2apic-eoi", measure_x2apic_eoi, SAMPLES, report },
    { "xapic-eoi", measure_xapic_eoi, SAMPLES, report },
    { "xapic-id", measure_xapic_id, SAMPLES, report },
};

static void __attribute__((noreturn)) out_forever(void)
{
    for (;;)
        do_out();
}

/* The command line names what is to be measured; nothing on it means everything but page faults,
 * which exit with `vmm -p` only, output, which is for a file, and the hypercall that this CPU does
 * not have. */
static bool wanted(const char *name)
{
    if (strcmp(name, hypercall_is_vmmcall ? "vmcall-null" : "vmmcall-null") == 0)
        return false;
    if (cmdline()[0] == '\0')
        return strcmp(name, "page-fault") != 0 && strcmp(name, "uart-char") != 0;
    return cmdline_has(name);
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    if (!on_jos_vmm() || !apic_enable())
        return check_result();
    if (cmdline_has("out-forever"))
        out_forever();
    set_gate(VEC, eoi_handler);
    set_gate(VEC_TIMER, eoi_handler);
    set_gate(VEC_SERVE, serve_handler);
    set_gate(T_PGFLT, skip_store_handler);
    map_4k(UNMAPPED_VA, 0, 0);
    wrmsr(X2APIC_LVT_TIMER, VEC_TIMER | LVT_DEADLINE);
    asm volatile("sti");
    measure(nothing, SAMPLES);
    sort(SAMPLES);
    overhead = samples[0];
    for (unsigned i = 0; i < SMALL_REGIONS; i++)
        *(volatile uint8_t *)(SMALL_FROM + i * REGION) = 1;
    for (unsigned i = 0; i < ARRAY_SIZE(operations); i++) {
        if (!wanted(operations[i].name))
            continue;
        operations[i].measure();
        operations[i].report(operations[i].name, operations[i].samples);
    }
    return check_result();
}
