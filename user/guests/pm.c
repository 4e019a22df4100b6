/*
 * pm: ACPI's fixed hardware at a PC's ports: the timer counts and goes on, the machine is in ACPI
 * mode, and the power button can be enabled. With the word "button", the button is waited for, and
 * switches off with status 7. With the word "off", the machine switches itself off by the control
 * register.
 */
#include <inc/acpi.h>
#include <inc/uart.h>
#include "rt.h"

const char guest_name[] = "pm";

#define PM1_STATUS  0x600
#define PM1_ENABLE  0x602
#define PM1_CONTROL 0x604
#define PM_TIMER    0x608
#define TYPE_OFF    (5 << 10) /* \_S5 of this machine; 0 on QEMU's */

#define IOAPIC       0xfec00000ul
#define IOAPIC_INDEX (*(volatile uint32_t *)0xfec00000)
#define IOAPIC_DATA  (*(volatile uint32_t *)0xfec00010)
#define IOAPIC_TABLE 0x10
#define SCI          9
#define COM1_INPUT   4
#define IOAPIC_MASK  (1u << 16)
#define VEC_SCI      0x50
#define VEC_UART     0x51

static volatile unsigned scis, uarts;

static void on_sci(struct Trapframe *tf)
{
    (void)tf;
    scis++;
    wrmsr(X2APIC_EOI, 0);
}

static void on_uart(struct Trapframe *tf)
{
    (void)tf;
    uarts++;
    wrmsr(X2APIC_EOI, 0);
}

static void route(unsigned input, uint32_t entry)
{
    IOAPIC_INDEX = IOAPIC_TABLE + 2 * input + 1;
    IOAPIC_DATA = 0; /* to APIC 0 */
    IOAPIC_INDEX = IOAPIC_TABLE + 2 * input;
    IOAPIC_DATA = entry;
}

static void try_timer(void)
{
    trying("the timer");
    uint32_t last = inl(PM_TIMER), first = last;
    for (int i = 0; i < 1000; i++) {
        uint32_t now = inl(PM_TIMER);
        check(now - last < PM_TIMER_HZ, "from 0x%x to 0x%x", last, now);
        last = now;
    }
    check(last != first, "it stands still at 0x%x", first);
}

static void try_registers(void)
{
    trying("the event and control registers");
    check(inw(PM1_CONTROL) & PM1_SCI_ENABLED, "the control register is 0x%x", inw(PM1_CONTROL));
    outw(PM1_ENABLE, 0);
    check(inw(PM1_ENABLE) == 0, "enabled are 0x%x", inw(PM1_ENABLE));
    outw(PM1_ENABLE, PM1_POWER_BUTTON);
    check(inw(PM1_ENABLE) == PM1_POWER_BUTTON, "enabled are 0x%x", inw(PM1_ENABLE));
    check(!(inw(PM1_STATUS) & PM1_POWER_BUTTON), "the button is pressed");
}

/* The transmitter is empty, which is an interrupt once that is enabled; and only then, and only
 * with the board's gate open. */
static void try_input(void)
{
    trying("an interrupt of COM1's through the I/O APIC");
    uint8_t mcr = inb(COM1 + COM_MCR);
    outb(COM1 + COM_IER, 0);
    outb(COM1 + COM_MCR, mcr | MCR_OUT2);
    route(COM1_INPUT, VEC_UART);
    outb(COM1 + COM_IER, IER_THRE);
    for (int i = 0; i < 1000000 && uarts == 0; i++)
        asm volatile("sti; nop; cli" ::: "memory");
    uint8_t iir = inb(COM1 + COM_IIR);
    outb(COM1 + COM_IER, 0);
    route(COM1_INPUT, IOAPIC_MASK);
    outb(COM1 + COM_MCR, mcr);
    check(uarts == 1, "%u interrupts", uarts);
    check((iir & ~IIR_FIFO) == IIR_THRE, "IIR was 0x%x", iir);
}

static int await_button(void)
{
    trying("to wait for the button");
    while (scis == 0)
        asm volatile("sti; hlt; cli" ::: "memory");
    check(inw(PM1_STATUS) & PM1_POWER_BUTTON, "the status is 0x%x", inw(PM1_STATUS));
    outw(PM1_STATUS, PM1_POWER_BUTTON);
    check(!(inw(PM1_STATUS) & PM1_POWER_BUTTON), "the status stays");
    int failed = check_result();
    return failed ? failed : 7;
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    trap_handlers[VEC_SCI] = on_sci;
    trap_handlers[VEC_UART] = on_uart;
    if (!apic_enable())
        return check_result();
    map_2m(IOAPIC, IOAPIC, PTE_P | PTE_W);
    try_timer();
    route(SCI, VEC_SCI);
    try_registers();
    try_input();
    if (cmdline_has("button"))
        return await_button();
    int failed = check_result();
    if (cmdline_has("off"))
        outw(PM1_CONTROL, TYPE_OFF | PM1_SLEEP_ENABLE);
    return failed;
}
