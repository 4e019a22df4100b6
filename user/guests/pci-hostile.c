/*
 * pci-hostile: BARs that are moved over memory, the local APIC, other devices' ports and each
 * other, and interrupt messages to addresses and of kinds that no device may send. What was there
 * stays, and nothing arrives.
 */
#include <inc/uart.h>
#include "virtio.h"

const char guest_name[] = "pci-hostile";

#define MEM_BAR (PCI_BAR0)
#define IO_BAR  (PCI_BAR0 + 4)
#define VECTOR  0x51
#define NAP     500000
#define BYTES   16
#define CANARY  0x1122334455667788ul
#define TOGGLES 40

static struct Vdev dev, other;
static struct Vq q;
static uint8_t buf[BYTES];
static volatile uint64_t canary = CANARY;
static volatile unsigned interrupts;

static void on_interrupt(struct Trapframe *tf)
{
    (void)tf;
    interrupts++;
    wrmsr(X2APIC_EOI, 0);
}

static void spin_open(uint64_t ticks)
{
    uint64_t until = read_tsc() + ticks;
    asm volatile("sti");
    while (read_tsc() < until)
        cpu_pause();
    asm volatile("cli");
}

/* ---- BARs ---- */

static void try_over_ram(void)
{
    uint64_t page = ROUNDDOWN((uint64_t)&canary, 0x2000), old = dev.common;
    trying("a BAR over memory");
    pci_write(dev.slot, MEM_BAR, 4, page);
    check(canary == CANARY, "memory reads 0x%lx", canary);
    canary = 5;
    check(canary == 5, "memory keeps nothing");
    canary = CANARY;
    static const uint32_t places[] = { 0, 0xa0000, 0xf0000, 0xfec00000, 0xfee00000, 0xfffff000 };
    for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
        pci_write(dev.slot, MEM_BAR, 4, places[i]);
        map_device(places[i]);
        check(places[i] == 0 || places[i] == 0xfee00000 ||
                  mmio_read(places[i] + C_NUM_QUEUES, 2) != 1,
              "a device answers at 0x%x", places[i]);
    }
    pci_write(dev.slot, MEM_BAR, 4, old);
    check(mmio_read(dev.common + C_NUM_QUEUES, 2) == 1, "it does not come back");
}

static void try_over_ports(void)
{
    static const uint16_t ports[] = { COM1, 0x60, 0x64, 0x70, 0xcf8, 0xcfc, 0x604, 0x500, 0 };
    uint32_t old = pci_read(dev.slot, IO_BAR, 4);
    trying("a BAR over other devices' ports");
    for (unsigned i = 0; i < ARRAY_SIZE(ports); i++) {
        pci_write(dev.slot, IO_BAR, 4, ports[i]);
        check(inb(COM1 + COM_LSR) & LSR_THRE, "COM1 is not there, with a BAR at 0x%x", ports[i]);
    }
    outb(COM1 + COM_SCR, 0x5a);
    check(inb(COM1 + COM_SCR) == 0x5a, "COM1 keeps nothing");
    pci_write(dev.slot, IO_BAR, 4, old);
}

/* Two devices at one address: one of them answers, and both when they are apart again. */
static void try_over_each_other(void)
{
    uint32_t old = pci_read(dev.slot, MEM_BAR, 4);
    trying("a BAR over another one");
    pci_write(dev.slot, MEM_BAR, 4, pci_read(other.slot, MEM_BAR, 4));
    uint16_t n = mmio_read(other.common + C_NUM_QUEUES, 2);
    check(n == 1 || n == 2, "%u queues", n);
    pci_write(dev.slot, MEM_BAR, 4, old);
    check(mmio_read(dev.common + C_NUM_QUEUES, 2) == 1, "the one does not answer");
    check(mmio_read(other.common + C_NUM_QUEUES, 2) == 2, "the other one does not answer");
}

/* ---- Messages ---- */

static void request(void)
{
    vq_desc(&q, 0, buf, sizeof(buf), DESC_WRITE, 0);
    vq_offer(&q, 0);
    vq_kick(&q);
    check(vq_wait(&q) > 0, "nothing came");
}

static void set_message(uint64_t address, uint32_t data)
{
    mmio_write(dev.msix_table, 4, address);
    mmio_write(dev.msix_table + 4, 4, address >> 32);
    mmio_write(dev.msix_table + 8, 4, data);
}

static void set_msi(uint64_t address, uint32_t data)
{
    dev_msi(&dev, address, data);
}

/* How many interrupts a request brings. */
static unsigned count_interrupts(void)
{
    interrupts = 0;
    request();
    spin_open(NAP);
    return interrupts;
}

static void try_messages(const char *by, void (*set)(uint64_t address, uint32_t data))
{
    const struct {
        const char *what;
        uint64_t address;
        uint32_t data;
    } bad[] = {
        { "memory", (uint64_t)&canary, VECTOR },
        { "memory above 4 GiB", 0x1fee00000, VECTOR },
        { "below the APIC", 0xfedffffc, VECTOR },
        { "above the APIC", 0xfef00000, VECTOR },
        { "address 0", 0, VECTOR },
        { "the device itself", dev.common + C_STATUS, 0 },
        { "an exception's vector", 0xfee00000, 14 },
        { "vector 0", 0xfee00000, 0 },
        { "an SMI", 0xfee00000, 0x200 },
        { "INIT", 0xfee00000, 0x500 },
        { "ExtINT", 0xfee00000, 0x700 | VECTOR },
        { "no CPU", 0xfee77000, VECTOR },
    };
    trying("messages by %s to addresses that are none, and of forbidden kinds", by);
    set(0xfee00000, VECTOR);
    check(count_interrupts() == 1, "%u interrupts by a good one", interrupts);
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        set(bad[i].address, bad[i].data);
        check(count_interrupts() == 0, "%s: %u interrupts", bad[i].what, interrupts);
        check(canary == CANARY, "%s: memory has become 0x%lx", bad[i].what, canary);
    }
    check(!(dev_status(&dev) & STATUS_RESET), "the device is broken");
    set(0xfee00000, VECTOR);
}

/* MSI and MSI-X go on and off, together and by turns, while there are events, none of which may
 * come twice, or later. */
static void try_mid_flight(void)
{
    trying("MSI and MSI-X that are switched while there are interrupts");
    dev_msix(&dev, 0, VECTOR);
    check(count_interrupts() == 1, "%u interrupts while both are on", interrupts);
    mmio_write(dev.msix_table + 12, 4, 1);
    check(count_interrupts() == 0, "%u interrupts by MSI beside a masked MSI-X", interrupts);
    dev_msix_off(&dev);
    dev_msi_off(&dev);
    check(count_interrupts() == 0, "%u interrupts while both are off", interrupts);
    dev_msi(&dev, 0xfee00000, VECTOR);
    spin_open(NAP);
    check(interrupts == 0, "%u interrupts of what was before", interrupts);
    for (unsigned i = 0; i < TOGGLES; i++) {
        (i & 1 ? dev_msi_off : dev_msix_off)(&dev);
        request();
        pci_write(dev.slot, dev.msix_cap + MSI_CONTROL, 2, i & 2 ? MSIX_ENABLE : 0);
        set_msi(i & 4 ? (uint64_t)&canary : 0xfee00000, VECTOR);
    }
    dev_msix_off(&dev);
    spin_open(NAP);
    check(interrupts <= TOGGLES, "%u interrupts by %u requests", interrupts, TOGGLES);
    check(canary == CANARY, "memory has become 0x%lx", canary);
    set_msi(0xfee00000, VECTOR);
    check(count_interrupts() == 1, "%u interrupts by MSI alone", interrupts);
    dev_msi_off(&dev);
    mmio_write(dev.msix_table + 12, 4, 0);
    dev_msix(&dev, 0, VECTOR);
}

static void try_interrupts(void)
{
    if (!apic_enable())
        return;
    for (int v = 32; v < 256; v++)
        trap_handlers[v] = on_interrupt;
    trap_handlers[T_NMI] = on_interrupt;
    dev_negotiate(&dev, 0);
    dev_msix(&dev, 0, VECTOR);
    vq_init(&q, &dev, 0, 0);
    dev_ready(&dev);
    try_messages("MSI-X", set_message);
    dev_msix_off(&dev);
    try_messages("MSI", set_msi);
    try_mid_flight();
}

/* Accesses to table and pending bits that a driver must not make. */
static void try_table(void)
{
    trying("odd accesses to the MSI-X table");
    set_message(0xfee00000, VECTOR);
    for (unsigned at = 0; at < 0x1000; at += 4) {
        mmio_write(dev.msix_table + 0x20 + at % 0xfe0, 4, 0xffffffff);
        mmio_write(dev.msix_table + at, 1, 0xff);
        mmio_write(dev.msix_table + at, 2, 0xffff);
        mmio_read(dev.msix_table + at, 1);
    }
    check(mmio_read(dev.msix_table, 4) == 0xfee00000, "the address is 0x%x",
          mmio_read(dev.msix_table, 4));
    check(mmio_read(dev.msix_table + 8, 4) == VECTOR, "the data is 0x%x",
          mmio_read(dev.msix_table + 8, 4));
    for (unsigned reg = 0; reg < 256; reg++)
        pci_write(dev.slot, reg, 1, 0xff);
    for (unsigned reg = 0; reg < 256; reg++)
        pci_read(dev.slot, reg, 4);
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    if (dev_find(&dev, VIRTIO_RNG) && dev_find(&other, VIRTIO_CONSOLE)) {
        try_over_ram();
        try_over_ports();
        try_over_each_other();
        try_interrupts();
        try_table();
    }
    return check_result();
}
