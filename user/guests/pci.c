/*
 * pci: configuration mechanism #1 reads and writes registers in all widths; BARs tell their size,
 * and a device answers where its BARs are, while its command register lets it, and nowhere else;
 * the registers of an MSI capability keep a message. With the word "bare" it does without
 * configuration space in memory, which QEMU's older machine has not.
 */
#include "virtio.h"

const char guest_name[] = "pci";

#define COMMAND_BITS (PCI_COMMAND_IO | PCI_COMMAND_MEM | PCI_COMMAND_MASTER)
#define ECAM         0xfed00000ul
#define NOBODY       31 /* a slot without a card */

static struct Vdev dev;

static void try_config(void)
{
    unsigned slot = dev.slot;
    trying("configuration space in all widths");
    uint32_t id = pci_read(slot, 0, 4), class = pci_read(slot, 8, 4);
    check(pci_read(slot, 0, 2) == (id & 0xffff), "the vendor is 0x%x", pci_read(slot, 0, 2));
    check(pci_read(slot, 2, 2) == id >> 16, "the device is 0x%x", pci_read(slot, 2, 2));
    for (unsigned i = 0; i < 4; i++)
        check(pci_read(slot, 8 + i, 1) == (class >> 8 * i & 0xff), "byte %u of the class", i);
    check(pci_read(slot, PCI_STATUS, 2) & 0x10, "there is no list of capabilities");
    pci_write(slot, 0, 4, ~id);
    check(pci_read(slot, 0, 4) == id, "its identity can be changed");
    pci_write(slot, 0x3c, 1, 0x5a);
    check(pci_read(slot, 0x3c, 1) == 0x5a, "the interrupt line keeps nothing");

    trying("a slot without a card, and a disabled address register");
    check(pci_read(NOBODY, 0, 4) == 0xffffffff, "somebody is in slot %u", NOBODY);
    pci_write(NOBODY, 0, 4, 0);
    outl(PORT_PCI_ADDRESS, slot << 11);
    check(inl(PORT_PCI_DATA) == 0xffffffff, "the data register answers 0x%x", inl(PORT_PCI_DATA));
    check(pci_find(0xffff, 0xffff) >= 0, "no slot is empty");
}

/* The size that BAR n says it has. */
static uint32_t bar_size(unsigned n)
{
    unsigned reg = PCI_BAR0 + 4 * n;
    uint32_t old = pci_read(dev.slot, reg, 4);
    pci_write(dev.slot, reg, 4, 0xffffffff);
    uint32_t mask = pci_read(dev.slot, reg, 4);
    pci_write(dev.slot, reg, 4, old);
    check(pci_read(dev.slot, reg, 4) == old, "BAR %u does not come back", n);
    mask &= old & 1 ? ~3u : ~15u;
    return old & 1 ? (uint16_t)-mask : -mask;
}

static void try_sizes(void)
{
    trying("sizes of BARs");
    pci_write(dev.slot, PCI_COMMAND, 2, 0);
    for (unsigned n = 0; n < 6; n++) {
        uint32_t size = pci_read(dev.slot, PCI_BAR0 + 4 * n, 4) == 0 ? 0 : bar_size(n);
        check((size & (size - 1)) == 0, "BAR %u has 0x%x bytes", n, size);
    }
    pci_write(dev.slot, PCI_COMMAND, 2, COMMAND_BITS);
}

/* Does the device answer at this address, as where its status register is? The register keeps what
 * the driver writes there. */
static bool answers(uint64_t common)
{
    map_device(common);
    mmio_write(common + C_STATUS, 1, 0);
    mmio_write(common + C_STATUS, 1, STATUS_ACK);
    bool there = mmio_read(common + C_STATUS, 1) == STATUS_ACK;
    mmio_write(common + C_STATUS, 1, 0);
    return there;
}

/* The number of the memory BAR that has the registers, and their offset. */
static unsigned common_bar(uint32_t *offset)
{
    for (unsigned cap = 0; (cap = pci_cap(dev.slot, CAP_VENDOR, cap)) != 0;)
        if (pci_read(dev.slot, cap + 3, 1) == 1) {
            *offset = pci_read(dev.slot, cap + 8, 4);
            return pci_read(dev.slot, cap + 4, 1);
        }
    return 0;
}

static void try_moves(void)
{
    uint32_t offset;
    unsigned reg = PCI_BAR0 + 4 * common_bar(&offset);
    uint64_t old = dev.common - offset, new = old + PGSIZE_2M;
    trying("a BAR that is moved");
    check(answers(old + offset), "nobody is at 0x%lx", old);
    check(!answers(new + offset), "somebody is at 0x%lx", new);
    pci_write(dev.slot, reg, 4, new);
    check(answers(new + offset), "nobody is at 0x%lx", new);
    check(!answers(old + offset), "somebody is at 0x%lx", old);
    pci_write(dev.slot, reg, 4, old);
    check(answers(old + offset) && !answers(new + offset), "it does not come back");

    trying("memory and I/O that are switched off");
    pci_write(dev.slot, PCI_COMMAND, 2, COMMAND_BITS & ~PCI_COMMAND_MEM);
    check(!answers(old + offset), "memory answers");
    pci_write(dev.slot, PCI_COMMAND, 2, COMMAND_BITS);
    check(answers(old + offset), "memory does not answer again");
}

/* Each capability for the registers, read through the window in configuration space. */
static void try_window(void)
{
    unsigned window = 0;
    trying("the window in configuration space");
    for (unsigned cap = 0; (cap = pci_cap(dev.slot, CAP_VENDOR, cap)) != 0;)
        if (pci_read(dev.slot, cap + 3, 1) == 5)
            window = cap;
    check(window != 0, "there is none");
    uint32_t offset;
    pci_write(dev.slot, window + 4, 1, common_bar(&offset));
    dev_set_status(&dev, STATUS_ACK);
    pci_write(dev.slot, window + 8, 4, offset + C_STATUS);
    pci_write(dev.slot, window + 12, 4, 1);
    check((pci_read(dev.slot, window + 16, 4) & 0xff) == STATUS_ACK, "the status reads 0x%x",
          pci_read(dev.slot, window + 16, 4));
    pci_write(dev.slot, window + 16, 4, 0);
    check(dev_status(&dev) == 0, "the device was not reset by it");
}

/* Messages that a device has been allotted, by its control register. */
#define MSI_ALLOTTED(control) (1u << ((control) >> 4 & 7))

/* The registers of slot's MSI capability keep a message, which no driver asks for here. */
static void try_msi(unsigned slot, unsigned cap)
{
    trying("the registers of MSI in slot %u", slot);
    uint32_t control = pci_read(slot, cap + MSI_CONTROL, 2);
    check(!(control & MSI_ENABLE), "it is enabled");
    check(MSI_ALLOTTED(control) == 1, "there are messages already");
    pci_write(slot, cap + MSI_ADDRESS, 4, 0xfee01003);
    check(pci_read(slot, cap + MSI_ADDRESS, 4) == 0xfee01000, "the address is 0x%x",
          pci_read(slot, cap + MSI_ADDRESS, 4));
    unsigned data = control & MSI_64 ? MSI_DATA : MSI_DATA - 4;
    pci_write(slot, cap + data, 2, 0x4151);
    check(pci_read(slot, cap + data, 2) == 0x4151, "the data is 0x%x",
          pci_read(slot, cap + data, 2));
    if (control & MSI_64) {
        pci_write(slot, cap + MSI_ADDRESS + 4, 4, 0x12345678);
        check(pci_read(slot, cap + MSI_ADDRESS + 4, 4) == 0x12345678, "the upper half is 0x%x",
              pci_read(slot, cap + MSI_ADDRESS + 4, 4));
        pci_write(slot, cap + MSI_ADDRESS + 4, 4, 0);
    }
    pci_write(slot, cap + MSI_CONTROL, 2, MSI_ENABLE);
    check((pci_read(slot, cap + MSI_CONTROL, 2) ^ control) == MSI_ENABLE, "it is 0x%x, enabled",
          pci_read(slot, cap + MSI_CONTROL, 2));
    pci_write(slot, cap + MSI_CONTROL, 2, 0);
    check(pci_read(slot, cap + MSI_CONTROL, 2) == control, "it is 0x%x, disabled",
          pci_read(slot, cap + MSI_CONTROL, 2));
}

/* Of all devices that have one, which may be none. */
static void try_all_msi(void)
{
    for (unsigned slot = 0; slot < PCI_SLOTS; slot++)
        if (pci_read(slot, 0, 4) != 0xffffffff && (pci_read(slot, PCI_STATUS, 2) & 0x10)) {
            unsigned cap = pci_cap(slot, CAP_MSI, 0);
            if (cap != 0)
                try_msi(slot, cap);
        }
}

/* Configuration space in memory, as the monitor's MCFG table has it. */
static void try_memory(void)
{
    uint64_t at = ECAM + dev.slot * 0x8000;
    if (cmdline_has("bare"))
        return;
    trying("configuration space in memory");
    map_device(at);
    check(mmio_read(at, 4) == pci_read(dev.slot, 0, 4), "the identity is 0x%x", mmio_read(at, 4));
    check(mmio_read(at + 2, 2) == pci_read(dev.slot, 2, 2), "the device is 0x%x",
          mmio_read(at + 2, 2));
    mmio_write(at + 0x3c, 1, 0xa5);
    check(pci_read(dev.slot, 0x3c, 1) == 0xa5, "the interrupt line keeps nothing");
    check(mmio_read(at + 256, 4) == 0xffffffff, "there is more than 256 bytes");
    check(mmio_read(at + 0x1000, 4) == 0xffffffff, "there is a function 1");
    check(mmio_read(ECAM + NOBODY * 0x8000, 4) == 0xffffffff, "somebody is in slot %u", NOBODY);
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    if (dev_find(&dev, VIRTIO_RNG)) {
        try_config();
        try_sizes();
        try_moves();
        try_window();
        try_memory();
        try_all_msi();
    }
    return check_result();
}
