/*
 * PCI configuration space by mechanism #1 (PCI Local Bus Specification, "Configuration Mechanism
 * #1"): an address port and a data port, which belong together under a lock.
 */
#include <inc/mmu.h>
#include <inc/once.h>
#include <inc/x86.h>
#include <kern/dev/pci.h>
#include <kern/pmap.h>
#include <kern/spinlock.h>

#define PORT_ADDRESS 0xcf8
#define PORT_DATA    0xcfc
#define ENABLE       0x80000000u
#define ID_NONE      0xffffffffu
#define BAR_IO_BITS  3u
#define BAR_MEM_BITS 15u

static struct spinlock pci_lock = SPINLOCK_INIT("PCI"); /* the two ports, and: */
static int owners[PCI_DEVICES];

static uint16_t select(unsigned device, unsigned reg)
{
    outl(PORT_ADDRESS, ENABLE | device << 11 | (reg & 0xfc));
    return PORT_DATA + (reg & 3);
}

uint32_t pci_read(unsigned device, unsigned reg, unsigned size)
{
    spin_lock(&pci_lock);
    uint16_t port = select(device, reg);
    uint32_t value = size == 1 ? inb(port) : size == 2 ? inw(port) : inl(port);
    spin_unlock(&pci_lock);
    return value;
}

void pci_write(unsigned device, unsigned reg, unsigned size, uint32_t value)
{
    spin_lock(&pci_lock);
    uint16_t port = select(device, reg);
    if (size == 1)
        outb(port, value);
    else if (size == 2)
        outw(port, value);
    else
        outl(port, value);
    spin_unlock(&pci_lock);
}

int pci_find(uint32_t id, unsigned nth)
{
    for (unsigned device = 0; id != ID_NONE && device < PCI_DEVICES; device++)
        if (pci_read(device, PCI_ID, 4) == id &&
            (pci_read(device, PCI_HEADER, 1) & PCI_HEADER_TYPE) == 0 && nth-- == 0)
            return device;
    return -1;
}

bool pci_claim(unsigned device, int owner)
{
    spin_lock(&pci_lock);
    bool taken = owners[device] == PCI_NOBODY || owners[device] == owner;
    if (taken)
        owners[device] = owner;
    spin_unlock(&pci_lock);
    return taken;
}

int pci_owner(unsigned device)
{
    return device < PCI_DEVICES ? READ_ONCE(owners[device]) : PCI_NOBODY;
}

void pci_release(int owner)
{
    for (unsigned device = 0; device < PCI_DEVICES; device++)
        if (READ_ONCE(owners[device]) == owner) {
            pci_stop(device);
            WRITE_ONCE(owners[device], PCI_NOBODY);
        }
}

/* What a BAR's register shows after all ones were written, and is put back: 0 where the address
 * is. */
static uint32_t bar_mask(unsigned device, unsigned reg, uint32_t was)
{
    pci_write(device, reg, 4, ~0u);
    uint32_t mask = pci_read(device, reg, 4);
    pci_write(device, reg, 4, was);
    return mask;
}

/* BAR n. Returns how many registers it takes. A size of 4 GiB and more, and an address that nobody
 * has assigned, make it none. */
static unsigned read_bar(unsigned device, unsigned n, struct PciBar *bar)
{
    unsigned reg = PCI_BAR + 4 * n;
    uint32_t low = pci_read(device, reg, 4), mask = bar_mask(device, reg, low);
    bool io = low & PCI_BAR_IO;
    bool wide = !io && (low & PCI_BAR_WIDTH) == PCI_BAR_64 && n + 1 < PCI_NBARS;
    uint32_t bits = io ? BAR_IO_BITS : BAR_MEM_BITS;

    *bar = (struct PciBar){ .start = low & ~bits, .size = -(mask & ~bits), .is_io = io };
    if (io)
        bar->size &= 0xffff; /* the upper half may read as zeroes */
    if (wide)
        bar->start |= (uint64_t)pci_read(device, reg + 4, 4) << 32;
    if (mask == 0 || bar->start == 0)
        bar->size = 0;
    return wide ? 2 : 1;
}

/* While BARs hold all ones, the device must not answer. */
void pci_start(unsigned device, struct PciDevice *d)
{
    uint32_t command = pci_read(device, PCI_COMMAND, 2);
    uint32_t off = PCI_COMMAND_IO | PCI_COMMAND_MEM | PCI_COMMAND_MASTER;

    *d = (struct PciDevice){ .bars = { { .size = 0 } } };
    pci_write(device, PCI_COMMAND, 2, command & ~off);
    for (unsigned n = 0; n < PCI_NBARS;)
        n += read_bar(device, n, &d->bars[n]);
    for (unsigned reg = 0; reg < PCI_CONFIG_SIZE; reg += 4)
        *(uint32_t *)&d->config[reg] = pci_read(device, reg, 4);

    unsigned reg = d->config[PCI_CAPABILITIES] & ~3u;
    for (unsigned i = 0; i < PCI_CONFIG_SIZE / 4 && reg; i++, reg = d->config[reg + 1] & ~3u)
        if (d->config[reg] == PCI_CAP_MSIX)
            pci_write(device, reg + PCI_MSIX_CTL, 2, PCI_MSIX_ENABLE);
    pci_write(device, PCI_COMMAND, 2, command | off | PCI_COMMAND_NO_INTX);
}

void pci_stop(unsigned device)
{
    uint32_t off = PCI_COMMAND_IO | PCI_COMMAND_MEM | PCI_COMMAND_MASTER;

    pci_write(device, PCI_COMMAND, 2, pci_read(device, PCI_COMMAND, 2) & ~off);
}

bool pci_can_map(const struct PciBar *bar)
{
    return !bar->is_io && bar->size >= PGSIZE && bar->size <= PCI_MAP_MAX &&
           bar->start % PGSIZE == 0;
}

void *pci_boot_map(const struct PciBar *bar)
{
    static uintptr_t next = PCI_VA;
    uintptr_t va = next;

    if (!pci_can_map(bar))
        return NULL;
    boot_map(va, bar->start, bar->size, PTE_W | PTE_PCD | PTE_PWT | PTE_NX);
    next += bar->size;
    return (void *)va;
}
