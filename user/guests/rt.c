/*
 * Runtime of the 64-bit test guests, in C: console on COM1, exceptions, page tables, local APIC.
 * See rt.h for the contracts, rt.S for how a guest gets here.
 */
#include <inc/uart.h>
#include "rt.h"

#define PORT_EXIT      0x501
#define PORT_PIC1_MASK 0x21
#define PORT_PIC2_MASK 0xa1

struct Caught caught = { .vector = -1 };
bool hypercall_is_vmmcall;
uint64_t catch_rip;
uint32_t boot_magic, boot_info;
uint64_t user_saved_rsp;
void (*trap_handlers[256])(struct Trapframe *tf);
struct Gatedesc rt_idt[256] __attribute__((aligned(16)));
struct Taskstate rt_tss;

extern const uint8_t trap_stubs[];
extern uint64_t boot_pml4[NPTENTRIES];
extern const uint8_t user_return[];
void user_enter(uint64_t rip, uint64_t rdi, uint64_t rax);
void rt_main(void);
void rt_trap(struct Trapframe *tf);

static uint8_t trap_stack[8192] __attribute__((aligned(16))); /* for exceptions in user mode */

/* SDM "Segment Descriptors": limit 4 GiB, present; L for 64-bit code. */
#define DESC_KCODE  0x00af9b000000ffffull
#define DESC_KDATA  0x00cf93000000ffffull
#define DESC_UDATA  0x00cff3000000ffffull
#define DESC_UCODE  0x00affb000000ffffull
#define DESC_COMPAT 0x00cf9b000000ffffull
#define DESC_TSS    0x0000890000000000ull
#define GATE_INTR   0x8e

uint64_t rt_gdt[8] = {
    [SEL_KCODE / 8] = DESC_KCODE, [SEL_KDATA / 8] = DESC_KDATA,   [SEL_UDATA / 8] = DESC_UDATA,
    [SEL_UCODE / 8] = DESC_UCODE, [SEL_COMPAT / 8] = DESC_COMPAT,
};

/* ---- Console ---- */

static void put(char c)
{
    while (!(inb(COM1 + COM_LSR) & LSR_THRE))
        ;
    outb(COM1 + COM_DATA, c);
}

void print_raw(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        put(s[i]);
}

static void print_ap(const char *fmt, va_list ap)
{
    char buf[256];
    int n = vsnprintf(buf, sizeof(buf), fmt, ap);
    print_raw(buf, MIN((size_t)n, sizeof(buf) - 1));
}

void print(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    print_ap(fmt, ap);
    va_end(ap);
}

void read_line(char *buf, size_t size)
{
    size_t n = 0;
    for (;;) {
        while (!(inb(COM1 + COM_LSR) & LSR_DR))
            ;
        char c = inb(COM1 + COM_DATA);
        if (c == '\r' || c == '\n')
            break;
        if (n + 1 < size)
            buf[n++] = c;
    }
    buf[n] = '\0';
}

void power_off(int status)
{
    while (!(inb(COM1 + COM_LSR) & LSR_TEMT))
        ;
    outb(PORT_EXIT, status);
    for (;;)
        asm volatile("cli; hlt");
}

/* ---- Results ---- */

static unsigned failures;

void check_failed(const char *fmt, ...)
{
    va_list ap;
    failures++;
    print("%s: FAILED: ", guest_name);
    va_start(ap, fmt);
    print_ap(fmt, ap);
    va_end(ap);
    print("\n");
}

int check_result(void)
{
    if (failures == 0)
        print("%s: ok\n", guest_name);
    else
        print("%s: %u checks failed\n", guest_name, failures);
    return failures != 0;
}

static const struct MultibootInfo *info(void)
{
    return (const void *)(uintptr_t)boot_info;
}

const char *cmdline(void)
{
    return info()->flags & MBI_CMDLINE ? (const char *)(uintptr_t)info()->cmdline : "";
}

bool cmdline_has(const char *word)
{
    size_t n = strlen(word);
    for (const char *p = cmdline(); (p = strstr(p, word)); p += n)
        if ((p == cmdline() || p[-1] == ' ') && (p[n] == ' ' || p[n] == '\0'))
            return true;
    return false;
}

uint64_t memory_end(void)
{
    uint64_t end = 0;
    const char *p = (const char *)(uintptr_t)info()->mmap_addr;
    const char *last = p + info()->mmap_length;
    while (p < last) {
        const struct MultibootMmap *m = (const void *)p;
        if (m->type == MBMMAP_AVAILABLE)
            end = MAX(end, m->addr + m->len);
        p += m->size + sizeof(m->size);
    }
    return end;
}

/* ---- Exceptions ---- */

static void record(const struct Trapframe *tf)
{
    caught = (struct Caught){ .vector = tf->tf_trapno,
                              .err = tf->tf_err,
                              .cr2 = rcr2(),
                              .rip = tf->tf_rip,
                              .rax = tf->tf_rax };
}

static void leave_user(struct Trapframe *tf)
{
    record(tf);
    tf->tf_rip = (uint64_t)user_return;
    tf->tf_cs = SEL_KCODE;
    tf->tf_ss = SEL_KDATA;
    tf->tf_rsp = user_saved_rsp;
    tf->tf_rflags = FL_ONE;
}

void rt_trap(struct Trapframe *tf)
{
    if (trap_handlers[tf->tf_trapno]) {
        trap_handlers[tf->tf_trapno](tf);
        return;
    }
    if (tf->tf_cs == SEL_UCODE) {
        leave_user(tf);
        return;
    }
    if (catch_rip) {
        record(tf);
        tf->tf_rip = catch_rip;
        return;
    }
    print("%s: FAILED: unexpected trap %lu, error 0x%lx, rip 0x%lx, cr2 0x%lx\n", guest_name,
          tf->tf_trapno, tf->tf_err, tf->tf_rip, rcr2());
    power_off(1);
}

int in_user(uint64_t rip, uint64_t rdi, uint64_t rax)
{
    caught.vector = -1;
    user_enter(rip, rdi, rax);
    return caught.vector;
}

void set_ist(int v, int n, void *top)
{
    if (n > 0)
        rt_tss.ist[n - 1] = (uint64_t)top;
    rt_idt[v].ist = n;
}

void set_gate(int v, const void *entry)
{
    uint64_t handler = (uint64_t)entry;
    rt_idt[v] = (struct Gatedesc){
        .off_0 = handler,
        .sel = SEL_KCODE,
        .type_dpl_p = GATE_INTR,
        .off_16 = handler >> 16,
        .off_32 = handler >> 32,
    };
}

static void tables_init(void)
{
    uint64_t tss = (uint64_t)&rt_tss;
    rt_tss.rsp[0] = (uint64_t)(trap_stack + sizeof(trap_stack));
    rt_tss.iomap_base = sizeof(rt_tss);
    rt_gdt[SEL_TSS / 8] =
        DESC_TSS | (sizeof(rt_tss) - 1) | (tss & 0xffffff) << 16 | (tss >> 24 & 0xff) << 56;
    rt_gdt[SEL_TSS / 8 + 1] = tss >> 32;
    for (int v = 0; v < 256; v++)
        set_gate(v, trap_stubs + v * STUB_SIZE);
    struct Pseudodesc idt = { sizeof(rt_idt) - 1, (uint64_t)rt_idt };
    asm volatile("ltr %w0; lidt %1" : : "r"(SEL_TSS), "m"(idt));
}

/* ---- Memory ---- */

static uint64_t table_pool[24][NPTENTRIES] __attribute__((aligned(PGSIZE)));
static unsigned tables_used;

/* The entry for va in the table of level 1 (2 MiB) or 0 (4 KiB), with the tables above made if need
 * be. */
static uint64_t *walk(uint64_t va, int level)
{
    uint64_t *table = boot_pml4;
    for (int l = 3; l > level; l--) {
        uint64_t *e = &table[PTX(va, l)];
        if (!(*e & PTE_P)) {
            if (tables_used == ARRAY_SIZE(table_pool)) {
                check_failed("no page tables left");
                power_off(1);
            }
            *e = (uint64_t)table_pool[tables_used++] | PTE_P | PTE_W | PTE_U;
        }
        table = (uint64_t *)PTE_ADDR(*e);
    }
    return &table[PTX(va, level)];
}

void map_2m(uint64_t va, uint64_t pa, uint64_t perm)
{
    *walk(va, 1) = pa | perm | PTE_PS;
    invlpg((void *)va);
}

uint64_t *map_4k(uint64_t va, uint64_t pa, uint64_t perm)
{
    uint64_t *pte = walk(va, 0);
    *pte = pa | perm;
    invlpg((void *)va);
    return pte;
}

/* ---- Local APIC and hypercalls ---- */

static bool by_msrs; /* which way the APIC has been enabled last */

bool apic_enable(void)
{
    if (!(cpuid(1, 0).ecx & CPUID1_ECX_X2APIC)) {
        check_failed("the CPU has no x2APIC");
        return false;
    }
    outb(PORT_PIC1_MASK, 0xff); /* on a PC, the 8259s still use exception vectors */
    outb(PORT_PIC2_MASK, 0xff);
    wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_BASE_EN | APIC_BASE_EXTD);
    wrmsr(X2APIC_SVR, SVR_ENABLE | 0xff);
    by_msrs = true;
    return true;
}

void xapic_enable(void)
{
    uint64_t base = rdmsr(MSR_APIC_BASE) & ~(uint64_t)(APIC_BASE_EN | APIC_BASE_EXTD);
    outb(PORT_PIC1_MASK, 0xff);
    outb(PORT_PIC2_MASK, 0xff);
    if (rdmsr(MSR_APIC_BASE) & APIC_BASE_EXTD)
        wrmsr(MSR_APIC_BASE, base);
    wrmsr(MSR_APIC_BASE, base | APIC_BASE_EN);
    map_2m(APIC_PAGE, APIC_PAGE, PTE_P | PTE_W | PTE_PCD);
    xapic_write(X2APIC_SVR, SVR_ENABLE | 0xff);
    by_msrs = false;
}

void apic_start(void)
{
    if (cpuid(1, 0).ecx & CPUID1_ECX_X2APIC)
        apic_enable();
    else
        xapic_enable();
}

void apic_eoi(void)
{
    if (by_msrs)
        wrmsr(X2APIC_EOI, 0);
    else
        xapic_write(X2APIC_EOI, 0);
}

int64_t hypercall(uint64_t nr, uint64_t rbx, uint64_t rcx, uint64_t rdx, uint64_t rsi)
{
    int64_t result;
    asm volatile(HYPERCALL
                 : "=a"(result), "+b"(rbx), "+c"(rcx), "+d"(rdx), "+S"(rsi)
                 : "a"(nr)
                 : "memory", "cc");
    return result;
}

bool on_jos_vmm(void)
{
    if (cpuid(1, 0).ecx & CPUID1_ECX_HV) {
        struct CpuidRegs r = cpuid(HV_CPUID_BASE, 0);
        char name[13] = { 0 };
        memcpy(name, &r.ebx, 4);
        memcpy(name + 4, &r.ecx, 4);
        memcpy(name + 8, &r.edx, 4);
        if (strcmp(name, HV_SIGNATURE) == 0)
            return true;
    }
    check_failed("this is no guest of the JOS VMM");
    return false;
}

bool __attribute__((weak)) guest_has_vmmcall(void)
{
    return cpu_has_vmmcall();
}

void rt_main(void)
{
    tables_init();
    hypercall_is_vmmcall = guest_has_vmmcall();
    if (boot_magic != MULTIBOOT_BOOTLOADER_MAGIC) {
        check_failed("EAX was 0x%x at entry, not the Multiboot magic", boot_magic);
        power_off(1);
    }
    power_off(guest_main(info()));
}
