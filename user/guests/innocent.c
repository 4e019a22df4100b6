/*
 * innocent: a guest that does nothing wrong while others do. A timer wakes it; each time it looks
 * whether its memory, its x87, SSE, AVX and debug registers and its clock are as it left them.
 * Asked by a line of input, it says how many rounds it has done and how often something was wrong.
 */
#include <inc/uart.h>
#include "fx.h"
#include "ymm.h"

const char guest_name[] = "innocent";

#define VECTOR  0x40
#define PERIOD  400000 /* ticks of the APIC timer */
#define SEED    0x35
#define WORDS   4096
#define DR_ADDR 0x123456789a0ul

static volatile uint64_t ticks;
static bool has_avx;
static uint8_t ymm_seed;
static uint64_t memory[WORDS], wrong, last_tsc;

static void on_timer(struct Trapframe *tf)
{
    (void)tf;
    ticks++;
    wrmsr(X2APIC_EOI, 0);
}

static void set_up(void)
{
    for (uint64_t i = 0; i < WORDS; i++)
        memory[i] = i * 0x9e3779b97f4a7c15ul;
    has_avx = ymm_enable();
    if (has_avx)
        ymm_fill(ymm_seed = read_tsc());
    fx_fill(SEED);
    asm volatile("mov %0, %%dr0; mov %0, %%dr3" : : "r"(DR_ADDR));
    trap_handlers[VECTOR] = on_timer;
    wrmsr(X2APIC_DIVIDE, DIVIDE_BY_1);
    wrmsr(X2APIC_LVT_TIMER, VECTOR | LVT_PERIODIC);
    wrmsr(X2APIC_INITCNT, PERIOD);
}

static void look(void)
{
    uint64_t dr0, dr3, now = read_tsc();
    asm volatile("mov %%dr0, %0; mov %%dr3, %1" : "=r"(dr0), "=r"(dr3));
    wrong += now <= last_tsc;
    wrong += dr0 != DR_ADDR || dr3 != DR_ADDR;
    wrong += !fx_intact(SEED);
    wrong += has_avx && !ymm_upper_intact(ymm_seed);
    for (uint64_t i = 0; i < WORDS; i++)
        wrong += memory[i] != i * 0x9e3779b97f4a7c15ul;
    last_tsc = now;
}

int guest_main(const struct MultibootInfo *info)
{
    char line[80];
    (void)info;
    if (!apic_enable())
        return check_result();
    set_up();
    trying("to be left alone");
    for (;;) {
        asm volatile("sti; hlt; cli");
        look();
        if (!(inb(COM1 + COM_LSR) & LSR_DR))
            continue;
        read_line(line, sizeof(line));
        print("innocent: %s: %lu rounds, %lu wrong\n", line, ticks, wrong);
    }
}
