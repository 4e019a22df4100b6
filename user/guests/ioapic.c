/*
 * ioapic: the I/O APIC has the entries that it says, each keeps what can be written to it, and
 * interrupts of COM1 come through it: once for each, and not through a mask or the board's gate.
 * With the word "nogate" it passes over the gate, which QEMU's board does not have.
 */
#include <inc/uart.h>
#include "firmware.h"

const char guest_name[] = "ioapic";

#define COM1_IRQ    4
#define VEC         0x51
#define NAP         1000     /* rounds in which nothing may come */
#define READ_ONLY   0x5000u  /* delivery status, remote IRR */
#define ENTRY_BITS  0x1afffu /* the lower half's, without them */
#define PATTERN     0x10923u /* masked, logical, lowest priority */
#define DESTINATION 0x05000000u

static volatile unsigned interrupts;
static unsigned input;
static uint32_t signal;

static void on_uart(struct Trapframe *tf)
{
    (void)tf;
    interrupts++;
    apic_eoi();
}

static unsigned entries(void)
{
    return (ioapic_read(IOAPIC_VERSION) >> 16 & 0xff) + 1;
}

static void try_registers(void)
{
    trying("identity and version");
    uint32_t version = ioapic_read(IOAPIC_VERSION);
    check((version & 0xff) >= 0x11 && (version & 0xff) < 0x30, "the version is 0x%x", version);
    check(entries() >= 24, "%u entries", entries());
    ioapic_write(IOAPIC_VERSION, 0);
    check(ioapic_read(IOAPIC_VERSION) == version, "the version can be written");
    uint32_t id = ioapic_read(IOAPIC_ID);
    ioapic_write(IOAPIC_ID, DESTINATION);
    check(ioapic_read(IOAPIC_ID) == DESTINATION, "the identity is 0x%x", ioapic_read(IOAPIC_ID));
    ioapic_write(IOAPIC_ID, id);

    trying("what entries keep");
    for (unsigned n = 0; n < entries(); n++) {
        uint32_t reg = IOAPIC_TABLE + 2 * n;
        ioapic_write(reg, PATTERN);
        ioapic_write(reg + 1, DESTINATION);
        uint32_t low = ioapic_read(reg);
        check((low & ENTRY_BITS) == PATTERN, "entry %u is 0x%x", n, low);
        check(ioapic_read(reg + 1) == DESTINATION, "its destination is 0x%x", ioapic_read(reg + 1));
        ioapic_write(reg, IOAPIC_MASKED | READ_ONLY);
        low = ioapic_read(reg);
        check(low == IOAPIC_MASKED, "entry %u is 0x%x", n, low);
    }
}

/* With interrupts on for a moment: how many came? */
static unsigned taken(void)
{
    interrupts = 0;
    for (int i = 0; i < NAP && interrupts == 0; i++) {
        inb(COM1 + COM_SCR);
        asm volatile("sti; nop; cli" ::: "memory");
    }
    for (int i = 0; i < NAP / 10; i++)
        asm volatile("sti; nop; cli" ::: "memory");
    return interrupts;
}

/* The empty transmitter interrupts when that is enabled, and until IIR has told it. */
static unsigned raise(void)
{
    outb(COM1 + COM_IER, 0);
    inb(COM1 + COM_IIR);
    outb(COM1 + COM_IER, IER_THRE);
    unsigned n = taken();
    uint8_t iir = inb(COM1 + COM_IIR);
    outb(COM1 + COM_IER, 0);
    check((iir & ~IIR_FIFO) == IIR_THRE, "IIR was 0x%x", iir);
    return n;
}

static void try_interrupts(void)
{
    uint8_t mcr = inb(COM1 + COM_MCR);
    trying("interrupts of COM1");
    while (!(inb(COM1 + COM_LSR) & LSR_TEMT))
        ;
    outb(COM1 + COM_MCR, mcr | MCR_OUT2);
    ioapic_route(input, VEC | signal);
    unsigned first = raise(), second = raise();
    ioapic_route(input, VEC | signal | IOAPIC_MASKED);
    unsigned masked = raise();
    ioapic_route(input, VEC | signal);
    unsigned late = taken();
    outb(COM1 + COM_MCR, mcr & ~MCR_OUT2);
    unsigned gated = raise();
    ioapic_route(input, IOAPIC_MASKED);
    outb(COM1 + COM_MCR, mcr);
    check(first == 1 && second == 1, "%u, and then %u", first, second);
    check(masked == 0, "%u through the mask", masked);
    check(late == 0, "%u after the mask went", late);
    check(gated == 0 || cmdline_has("nogate"), "%u without OUT2", gated);
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    trap_handlers[VEC] = on_uart;
    if (!ioapic_find())
        return check_result();
    input = ioapic_input(COM1_IRQ, &signal);
    try_registers();
    try_interrupts();
    return check_result();
}
