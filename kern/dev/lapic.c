/*
 * The local APIC driver (SDM "Advanced Programmable Interrupt Controller (APIC)"). One register is
 * the same number in both access modes: an MSR in x2APIC mode, 16 bytes apart in a page of memory
 * otherwise. In gOS every access is a VM exit, so what is not needed there is not touched.
 */
#include <inc/mmu.h>
#include <inc/trap.h>
#include <inc/x86.h>
#include <kern/cpu.h>
#include <kern/dev/lapic.h>
#include <kern/platform.h>
#include <kern/pmap.h>

/* IA32_APIC_BASE */
#define APIC_BASE_X2APIC (1 << 10)
#define APIC_BASE_ENABLE (1 << 11)

/* Register numbers: MSR 0x800 + n, or byte 16 * n of the page. */
#define APIC_ID        0x02
#define APIC_EOI       0x0b
#define APIC_TPR       0x08
#define APIC_SVR       0x0f
#define APIC_ESR       0x28
#define APIC_ICR       0x30
#define APIC_ICR_HIGH  0x31 /* memory-mapped only */
#define APIC_LVT_TIMER 0x32
#define APIC_LVT_LINT0 0x35
#define APIC_LVT_LINT1 0x36
#define APIC_LVT_ERROR 0x37
#define APIC_INITIAL   0x38
#define APIC_CURRENT   0x39
#define APIC_DIVIDE    0x3e

#define SVR_ENABLE       (1 << 8)
#define LVT_NMI          (4 << 8)
#define LVT_EXTINT       (7 << 8)
#define LVT_MASKED       (1 << 16)
#define LVT_TSC_DEADLINE (2 << 17) /* else one-shot */
#define ICR_NMI          (4 << 8)
#define ICR_INIT         (5 << 8)
#define ICR_STARTUP      (6 << 8)
#define ICR_ASSERT       (1 << 14)
#define ICR_PENDING      (1 << 12) /* memory-mapped only */
#define XAPIC_ID_SHIFT   24
#define XICR_DEST_SHIFT  24
#define X2ICR_DEST_SHIFT 32
#define DIVIDE_BY_16     0x3
#define COUNT_MAX        0xffffffffu
#define SCALE_SHIFT      32
#define MAX_POLLS        1000000

static bool x2apic;
static bool deadline_mode;
static uint64_t timer_scale; /* counts for 2^SCALE_SHIFT TSC ticks, when not in deadline mode */

static volatile uint32_t *mmio_reg(uint32_t reg)
{
    return (volatile uint32_t *)(LAPIC_VA + reg * 16);
}

static void apic_write(uint32_t reg, uint32_t v)
{
    if (x2apic)
        wrmsr(MSR_X2APIC + reg, v);
    else
        *mmio_reg(reg) = v;
}

static uint32_t apic_read(uint32_t reg)
{
    return x2apic ? (uint32_t)rdmsr(MSR_X2APIC + reg) : *mmio_reg(reg);
}

/* Turn the APIC on in the best mode the CPU has, and make its registers reachable. */
static void choose_mode(bool boot_cpu)
{
    uint64_t base = rdmsr(MSR_APIC_BASE);
    uint64_t want = base | APIC_BASE_ENABLE | (cpu_features.x2apic ? APIC_BASE_X2APIC : 0);

    x2apic = cpu_features.x2apic;
    if (want != base)
        wrmsr(MSR_APIC_BASE, want);
    if (!x2apic && boot_cpu)
        boot_map(LAPIC_VA, PTE_ADDR(base), PGSIZE,
                 PTE_P | PTE_W | PTE_PCD | PTE_PWT | (cpu_features.nx ? PTE_NX : 0));
}

/* What a machine has around its local APIC and a guest has not: the 8259 on LINT0 of the boot CPU
 * ("virtual wire"), NMI on LINT1, errors. */
static void connect_pins(bool boot_cpu)
{
    apic_write(APIC_TPR, 0);
    apic_write(APIC_LVT_LINT0, boot_cpu ? LVT_EXTINT : LVT_MASKED);
    apic_write(APIC_LVT_LINT1, LVT_NMI);
    apic_write(APIC_LVT_ERROR, T_APIC_ERROR);
    apic_write(APIC_ESR, 0);
}

void lapic_init(bool boot_cpu)
{
    choose_mode(boot_cpu);
    apic_write(APIC_SVR, SVR_ENABLE | T_APIC_SPUR);
    if (!is_guest)
        connect_pins(boot_cpu);

    deadline_mode = cpu_features.tsc_deadline;
    apic_write(APIC_LVT_TIMER, T_TIMER | (deadline_mode ? LVT_TSC_DEADLINE : 0));
    if (deadline_mode)
        /* The MSR may not be written before the mode has arrived (SDM "TSC-Deadline Mode"). */
        asm volatile("mfence" : : : "memory");
    else
        apic_write(APIC_DIVIDE, DIVIDE_BY_16);
}

void lapic_eoi(void)
{
    apic_write(APIC_EOI, 0);
}

uint32_t lapic_id(void)
{
    uint32_t id = apic_read(APIC_ID);
    return x2apic ? id : id >> XAPIC_ID_SHIFT;
}

/* Send to one CPU what the interrupt command register is to hold besides the destination. */
static void send(uint32_t apicid, uint32_t command)
{
    if (x2apic) {
        /* What the other CPU is to find there has to be visible before: this WRMSR does not wait
         * for stores (SDM "MSR Access in x2APIC Mode"). */
        asm volatile("mfence; lfence" : : : "memory");
        wrmsr(MSR_X2APIC + APIC_ICR, (uint64_t)apicid << X2ICR_DEST_SHIFT | command);
        return;
    }
    for (int i = 0; i < MAX_POLLS && (apic_read(APIC_ICR) & ICR_PENDING); i++)
        cpu_pause();
    apic_write(APIC_ICR_HIGH, apicid << XICR_DEST_SHIFT);
    apic_write(APIC_ICR, command);
}

void lapic_send_ipi(uint32_t apicid, int vector)
{
    send(apicid, ICR_ASSERT | vector);
}

void lapic_send_nmi(uint32_t apicid)
{
    send(apicid, ICR_ASSERT | ICR_NMI);
}

void lapic_send_init(uint32_t apicid)
{
    send(apicid, ICR_ASSERT | ICR_INIT);
}

void lapic_send_startup(uint32_t apicid, uint32_t page)
{
    send(apicid, ICR_ASSERT | ICR_STARTUP | page);
}

/* ---- Timer ---- */

bool lapic_needs_rate(void)
{
    return !deadline_mode;
}

void lapic_count_start(void)
{
    apic_write(APIC_LVT_TIMER, LVT_MASKED | T_TIMER);
    apic_write(APIC_INITIAL, COUNT_MAX);
}

uint32_t lapic_count_stop(void)
{
    uint32_t counts = COUNT_MAX - apic_read(APIC_CURRENT);

    apic_write(APIC_INITIAL, 0);
    apic_write(APIC_LVT_TIMER, T_TIMER);
    return counts;
}

void lapic_set_rate(uint32_t counts, uint64_t tsc_ticks)
{
    timer_scale = ((uint64_t)counts << SCALE_SHIFT) / tsc_ticks;
}

/* Counts until the TSC reaches deadline, at least 1. A far deadline is cut to what the counter can
 * hold: the interrupt then comes early, and the scheduler arms the timer again. */
static uint32_t counts_until(uint64_t deadline)
{
    uint64_t now = read_tsc();
    if (deadline <= now)
        return 1;
    unsigned __int128 counts = (unsigned __int128)(deadline - now) * timer_scale >> SCALE_SHIFT;
    return counts >= COUNT_MAX ? COUNT_MAX : (uint32_t)counts + 1;
}

void lapic_timer_set(uint64_t tsc_deadline)
{
    if (deadline_mode)
        wrmsr(MSR_TSC_DEADLINE, tsc_deadline);
    else
        apic_write(APIC_INITIAL, tsc_deadline == 0 ? 0 : counts_until(tsc_deadline));
}
