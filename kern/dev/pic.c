/*
 * The 8259A pair (Intel 8259A data sheet, "Initialization Command Words", "Operation Command
 * Words"). It reaches the CPU through the local APIC's LINT0 in ExtINT mode.
 */
#include <inc/trap.h>
#include <inc/x86.h>
#include <kern/dev/pic.h>

#define MASTER 0x20
#define SLAVE  0xa0
/* Register offsets */
#define PIC_CMD  0
#define PIC_DATA 1

#define ICW1_INIT     0x11 /* edge triggered, cascaded, ICW4 follows */
#define ICW4_8086     0x01
#define OCW2_EOI      0x20 /* non-specific */
#define OCW3_READ_ISR 0x0b
#define OCW3_READ_IRR 0x0a

#define LINES       8 /* of one chip */
#define CASCADE     2 /* the master's line that the slave is on */
#define LOWEST_PRIO 7 /* where a chip reports an interrupt that went away */

static uint16_t masked = 0xffff;

static void write_masks(void)
{
    outb(MASTER + PIC_DATA, masked & 0xff);
    outb(SLAVE + PIC_DATA, masked >> LINES);
}

static void chip_init(uint16_t chip, uint8_t vector, uint8_t cascade)
{
    outb(chip + PIC_CMD, ICW1_INIT);
    outb(chip + PIC_DATA, vector);
    outb(chip + PIC_DATA, cascade);
    outb(chip + PIC_DATA, ICW4_8086);
}

void pic_init(void)
{
    /* ICW3 is a set of lines for the master and a line number for the slave. */
    chip_init(MASTER, IRQ_OFFSET, 1 << CASCADE);
    chip_init(SLAVE, IRQ_OFFSET + LINES, CASCADE);
    write_masks();
}

void pic_enable(int irq)
{
    masked &= ~(1 << irq);
    if (irq >= LINES)
        masked &= ~(1 << CASCADE);
    write_masks();
}

void pic_eoi(int irq)
{
    if (irq >= LINES)
        outb(SLAVE + PIC_CMD, OCW2_EOI);
    outb(MASTER + PIC_CMD, OCW2_EOI);
}

bool pic_is_spurious(int irq)
{
    uint16_t chip = irq >= LINES ? SLAVE : MASTER;

    if (irq % LINES != LOWEST_PRIO)
        return false;
    outb(chip + PIC_CMD, OCW3_READ_ISR);
    bool in_service = inb(chip + PIC_CMD) & (1 << LOWEST_PRIO);
    outb(chip + PIC_CMD, OCW3_READ_IRR);
    if (in_service)
        return false;
    /* The master did see a real request, from the slave. */
    if (chip == SLAVE)
        outb(MASTER + PIC_CMD, OCW2_EOI);
    return true;
}
