/*
 * Ending the machine or the guest. A machine has no way that works everywhere, so each known one
 * is tried in turn; on a machine without any of them the CPU stops.
 */
#include <inc/stdio.h>
#include <inc/trap.h>
#include <inc/vmm.h>
#include <inc/x86.h>
#include <kern/dev/console.h>
#include <kern/dev/poweroff.h>
#include <kern/platform.h>

/* QEMU's -device isa-debug-exit,iobase=0x501; its exit status is 2 * value + 1. */
#define QEMU_EXIT_PORT  0x501
#define BOCHS_EXIT_PORT 0x8900
#define BOCHS_EXIT_WORD "Shutdown"

/* PM1a control, "ACPI Specification": sleep enable with sleep type 0, which is S5 on these boards.
 */
#define ACPI_SLP_EN     0x2000
#define ACPI_PORT_QEMU  0x604
#define ACPI_PORT_BOCHS 0xb004

static void machine_off(int status)
{
    outb(QEMU_EXIT_PORT, status);
    for (const char *s = BOCHS_EXIT_WORD; *s; s++)
        outb(BOCHS_EXIT_PORT, *s);
    outw(ACPI_PORT_QEMU, ACPI_SLP_EN);
    outw(ACPI_PORT_BOCHS, ACPI_SLP_EN);
}

void power_button_init(void)
{
    uint64_t vector = T_HVPOWER;
    if (is_guest)
        hypercall(VMX_VMCALL_POWER_BUTTON, &vector, NULL, NULL, NULL);
}

void platform_poweroff(int status)
{
    uint64_t code = status & 0xff;

    if (is_guest) {
        hypercall(VMX_VMCALL_POWEROFF, &code, NULL, NULL, NULL);
    } else {
        cprintf("Powered off with status %d.\n", (int)code);
        cons_flush();
        machine_off(code);
    }
    for (;;)
        asm volatile("cli; hlt");
}
