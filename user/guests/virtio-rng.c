/*
 * virtio-rng: random bytes come into the buffers that the driver offers, and nowhere else; the
 * interrupt comes by MSI-X, and waits while its vector is masked, or by MSI where there is that.
 */
#include "virtio.h"

const char guest_name[] = "virtio-rng";

#define VECTOR  0x51
#define OTHER   0x52
#define BYTES   64
#define MASKED  1
#define PATTERN 0x5a
#define NAP     2000000
/* No pin either */
#define COMMAND_QUIET (PCI_COMMAND_IO | PCI_COMMAND_MEM | PCI_COMMAND_MASTER | PCI_COMMAND_NO_INTX)

static struct Vdev dev;
static struct Vq q;
static uint8_t buf[3][BYTES];
static volatile unsigned interrupts;

static void on_interrupt(struct Trapframe *tf)
{
    (void)tf;
    interrupts++;
    apic_eoi();
}

static void spin_open(uint64_t ticks)
{
    uint64_t until = read_tsc() + ticks;
    asm volatile("sti");
    while (read_tsc() < until)
        cpu_pause();
    asm volatile("cli");
}

#define ISR_QUEUE 1

static bool all_are(const uint8_t *p, size_t n, uint8_t value)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != value)
            return false;
    return true;
}

static void request(unsigned len)
{
    memset(buf, PATTERN, sizeof(buf));
    vq_desc(&q, 0, buf[1], len, DESC_WRITE, 0);
    vq_offer(&q, 0);
    vq_kick(&q);
}

static void try_bytes(void)
{
    uint8_t first[BYTES];
    trying("random bytes");
    dev_negotiate(&dev, 0);
    vq_init(&q, &dev, 0, NO_VECTOR);
    dev_ready(&dev);
    request(BYTES);
    int64_t n = vq_wait(&q);
    check(n > 0 && n <= BYTES, "%ld bytes came", n);
    check(!all_are(buf[1], n, PATTERN), "nothing was written");
    check(all_are(buf[0], BYTES, PATTERN) && all_are(buf[2], BYTES, PATTERN),
          "it wrote beside the buffer");
    memcpy(first, buf[1], BYTES);
    request(BYTES);
    n = vq_wait(&q);
    check(n > 0 && memcmp(first, buf[1], n) != 0, "the same bytes came again");
    request(5);
    check(vq_wait(&q) == 5 && all_are(buf[1] + 5, BYTES - 5, PATTERN), "not 5 bytes came");
}

static void try_msix(void)
{
    trying("interrupts by MSI-X");
    dev_negotiate(&dev, 0);
    dev_msix(&dev, 0, VECTOR);
    vq_init(&q, &dev, 0, 0);
    dev_ready(&dev);
    request(BYTES);
    check(vq_wait(&q) > 0, "nothing came");
    spin_open(NAP);
    check(interrupts == 1, "%u interrupts, not 1", interrupts);

    trying("a masked vector");
    mmio_write(dev.msix_table + 12, 4, MASKED);
    request(BYTES);
    check(vq_wait(&q) > 0, "nothing came");
    spin_open(NAP);
    check(interrupts == 1, "an interrupt came through the mask");
    check(mmio_read(dev.msix_pending, 4) == 1, "it is not pending");
    mmio_write(dev.msix_table + 12, 4, 0);
    spin_open(NAP);
    check(interrupts == 2, "%u interrupts, not 2, after the mask went", interrupts);
    check(mmio_read(dev.msix_pending, 4) == 0, "it is still pending");

    trying("an interrupt that the driver does not want");
    q.avail.flags = 1;
    request(BYTES);
    check(vq_wait(&q) > 0, "nothing came");
    spin_open(NAP);
    check(interrupts == 2, "it came");
}

/* One request, used, and the interrupts that came of it. */
static unsigned interrupts_of_request(void)
{
    unsigned before = interrupts;
    request(BYTES);
    check(vq_wait(&q) > 0, "nothing came");
    spin_open(NAP);
    return interrupts - before;
}

static void try_isr(void)
{
    trying("the ISR register, without messages");
    dev_msix_off(&dev);
    dev_negotiate(&dev, 0);
    vq_init(&q, &dev, 0, NO_VECTOR);
    dev_ready(&dev);
    pci_write(dev.slot, PCI_COMMAND, 2, COMMAND_QUIET);
    check(mmio_read(dev.isr, 1) == 0, "it is set after a reset");
    check(interrupts_of_request() == 0, "an interrupt came");
    check(mmio_read(dev.isr, 1) == ISR_QUEUE, "it does not tell of the queue");
    check(mmio_read(dev.isr, 1) == 0, "reading it does not clear it");
}

/* The driver is set up as try_isr has left it. */
static void try_msi(void)
{
    if (!pci_cap(dev.slot, CAP_MSI, 0))
        return;
    trying("interrupts by MSI");
    trap_handlers[OTHER] = on_interrupt;
    dev_msi(&dev, 0xfee00000, OTHER);
    check(interrupts_of_request() == 1, "not one interrupt, but %u", interrupts);
    check(mmio_read(dev.isr, 1) == ISR_QUEUE, "ISR does not tell of the queue");
    dev_msi_off(&dev);
    check(interrupts_of_request() == 0, "one came while MSI is off");
    dev_msi(&dev, 0xfee00000, OTHER);
    q.avail.flags = 1;
    check(interrupts_of_request() == 0, "one came that the driver does not want");
}

static void try_interrupts(void)
{
    apic_start();
    trap_handlers[VECTOR] = on_interrupt;
    try_msix();
    try_isr();
    try_msi();
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    if (dev_find(&dev, VIRTIO_RNG)) {
        try_bytes();
        try_interrupts();
    }
    return check_result();
}
