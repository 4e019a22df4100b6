/*
 * virtio-rng: random bytes come into the buffers that the driver offers, and nowhere else; the
 * interrupt comes by MSI-X, and waits while its vector is masked.
 */
#include "virtio.h"

const char guest_name[] = "virtio-rng";

#define VECTOR  0x51
#define BYTES   64
#define MASKED  1
#define PATTERN 0x5a
#define NAP     2000000

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

static void try_interrupts(void)
{
    trying("interrupts by MSI-X");
    apic_start();
    trap_handlers[VECTOR] = on_interrupt;
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

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    if (dev_find(&dev, VIRTIO_RNG)) {
        try_bytes();
        try_interrupts();
    }
    return check_result();
}
