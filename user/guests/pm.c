/*
 * pm: ACPI's fixed hardware where the FADT says that it is: the timer counts and goes on, the
 * machine is in ACPI mode, and the power button can be enabled. With the word "button", the button
 * is waited for, and switches off with status 7. With the word "off", the machine switches itself
 * off by the control register, with "reset", it starts again by the reset register.
 */
#include "firmware.h"

const char guest_name[] = "pm";

#define TIMER_24          0xffffffu /* the timer's bits without FADT_TIMER_32 */
#define CONTROL_OFF(type) ((type) << 10 | PM1_SLEEP_ENABLE)
#define VEC_SCI           0x50

static const struct AcpiFadt *fadt;
static uint16_t status, enable; /* ports */
static volatile unsigned scis, buttons;

/* The line is high while the event is there. */
static void on_sci(struct Trapframe *tf)
{
    (void)tf;
    scis++;
    if (inw(status) & PM1_POWER_BUTTON)
        buttons++;
    outw(status, PM1_POWER_BUTTON);
    apic_eoi();
}

static void try_timer(void)
{
    uint32_t mask = fadt->flags & FADT_TIMER_32 ? UINT32_MAX : TIMER_24;
    trying("the timer");
    uint32_t last = inl(fadt->pm_timer), first = last;
    for (int i = 0; i < 1000; i++) {
        uint32_t now = inl(fadt->pm_timer);
        check((now & ~mask) == 0, "it has bits 0x%x", now);
        check(((now - last) & mask) < PM_TIMER_HZ, "from 0x%x to 0x%x", last, now);
        last = now;
    }
    check(last != first, "it stands still at 0x%x", first);
}

static void try_registers(void)
{
    uint16_t control = inw(fadt->pm1a_control);
    trying("the event and control registers");
    check(control & PM1_SCI_ENABLED, "the control register is 0x%x", control);
    check(!(control & PM1_SLEEP_ENABLE), "it remembers sleep: 0x%x", control);
    outw(enable, 0);
    check(inw(enable) == 0, "enabled are 0x%x", inw(enable));
    outw(enable, PM1_POWER_BUTTON);
    check(inw(enable) == PM1_POWER_BUTTON, "enabled are 0x%x", inw(enable));
    check(!(inw(status) & PM1_POWER_BUTTON), "the button is pressed");
}

static int await_button(void)
{
    trying("to wait for the button");
    while (scis == 0)
        asm volatile("sti; hlt; cli" ::: "memory");
    check(buttons == 1, "%u presses", buttons);
    check(!(inw(status) & PM1_POWER_BUTTON), "the status stays");
    int failed = check_result();
    return failed ? failed : 7;
}

int guest_main(const struct MultibootInfo *info)
{
    uint32_t bits;
    (void)info;
    fadt = acpi_enter();
    if (!fadt || !ioapic_find())
        return check_result();
    status = fadt->pm1a_event;
    enable = status + fadt->pm1_event_length / 2;
    trap_handlers[VEC_SCI] = on_sci;
    try_timer();
    unsigned sci = ioapic_input(fadt->sci, &bits);
    ioapic_route(sci, VEC_SCI | bits);
    try_registers();
    if (cmdline_has("button"))
        return await_button();
    int failed = check_result();
    if (failed)
        return failed;
    if (cmdline_has("off"))
        outw(fadt->pm1a_control, CONTROL_OFF(acpi_sleep_off(fadt)));
    if (cmdline_has("reset") && (fadt->flags & FADT_RESET))
        outb(fadt->reset.address, fadt->reset_value);
    return 0;
}
