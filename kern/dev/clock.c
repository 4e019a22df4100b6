/*
 * How fast the clocks run. gOS is told by the VMM; hOS measures against channel 2 of the PC's timer
 * chip (Intel 8254 data sheet, "Mode 0: Interrupt on Terminal Count"), which every emulator drives
 * with the same notion of a second as the rest of its machine. CPUID's word is only taken where
 * there is no such chip, since emulated CPUs claim the frequency of the real ones.
 */
#include <inc/stdio.h>
#include <inc/vmm.h>
#include <inc/x86.h>
#include <kern/dev/clock.h>
#include <kern/dev/lapic.h>
#include <kern/platform.h>

#define PIT_HZ          1193182
#define PIT_CHAN2       0x42
#define PIT_CONTROL     0x43
#define PIT_CHAN2_MODE0 0xb0 /* channel 2, low then high byte, mode 0, binary */

#define PORT_B       0x61 /* system control port B */
#define PORT_B_GATE2 0x01 /* channel 2 counts */
#define PORT_B_SPKR  0x02 /* its output drives the speaker */
#define PORT_B_OUT2  0x20 /* its output */

/* Whatever disturbs a window makes it longer, so the shortest of several is the best. */
#define WINDOWS        5
#define WINDOW_COUNTS  (PIT_HZ / 500)
#define MAX_POLLS      4000000
#define FALLBACK_KHZ   1000000
#define CPUID_TSC_LEAF 0x15

uint64_t tsc_khz;

struct Sample {
    uint64_t tsc;   /* TSC ticks in one window; 0: no result */
    uint32_t lapic; /* local APIC timer counts in the same window */
};

/* Let channel 2 count down and wait for its output. Returns the TSC ticks that took, 0 if the
 * output does not behave, or went up before it was looked at. */
static uint64_t pit_window(void)
{
    outb(PORT_B, (inb(PORT_B) & ~PORT_B_SPKR) | PORT_B_GATE2);
    outb(PIT_CONTROL, PIT_CHAN2_MODE0);
    outb(PIT_CHAN2, WINDOW_COUNTS & 0xff);
    uint64_t start = read_tsc();
    outb(PIT_CHAN2, WINDOW_COUNTS >> 8);
    if (inb(PORT_B) & PORT_B_OUT2)
        return 0;
    for (int i = 0; i < MAX_POLLS; i++)
        if (inb(PORT_B) & PORT_B_OUT2)
            return read_tsc() - start;
    return 0;
}

static struct Sample take_sample(void)
{
    struct Sample s = { 0, 0 };

    if (lapic_needs_rate())
        lapic_count_start();
    s.tsc = pit_window();
    if (lapic_needs_rate())
        s.lapic = lapic_count_stop();
    return s;
}

static struct Sample best_sample(void)
{
    struct Sample best = { 0, 0 };

    for (int i = 0; i < WINDOWS; i++) {
        struct Sample s = take_sample();
        if (s.tsc > 0 && (best.tsc == 0 || s.tsc < best.tsc))
            best = s;
    }
    return best;
}

/* What CPUID says, in kHz; 0 if it says nothing (SDM "Time Stamp Counter and Nominal Core Crystal
 * Clock Information Leaf"). */
static uint64_t cpuid_khz(void)
{
    if (cpuid(0, 0).eax < CPUID_TSC_LEAF)
        return 0;
    struct CpuidRegs r = cpuid(CPUID_TSC_LEAF, 0);
    return r.eax && r.ebx && r.ecx ? (uint64_t)r.ecx * r.ebx / r.eax / 1000 : 0;
}

static void guest_clock(void)
{
    struct CpuidRegs r = cpuid(HV_CPUID_TIMING, 0);

    tsc_khz = r.eax ? r.eax : FALLBACK_KHZ;
    if (lapic_needs_rate())
        lapic_set_rate(r.ebx, tsc_khz);
}

void clock_init(void)
{
    if (is_guest) {
        guest_clock();
        return;
    }
    struct Sample s = best_sample();
    tsc_khz = s.tsc * PIT_HZ / WINDOW_COUNTS / 1000;
    if (s.tsc == 0) {
        tsc_khz = cpuid_khz();
        cprintf("clock: no 8254 timer; TSC frequency %s\n", tsc_khz ? "from CPUID" : "unknown");
        if (tsc_khz == 0)
            tsc_khz = FALLBACK_KHZ;
    }
    if (!lapic_needs_rate())
        return;
    /* Without a measurement, one count a tick: the timer comes early rather than late. */
    lapic_set_rate(s.tsc ? s.lapic : 1, s.tsc ? s.tsc : 1);
}
