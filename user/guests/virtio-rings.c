/*
 * virtio-rings: a driver that breaks the rules: chains with loops, wild addresses, lengths that
 * wrap, numbers out of range, tables in tables, rings where no memory is. The device says that it
 * needs a reset, has touched nothing that was not offered, and works after the reset.
 */
#include "virtio.h"

const char guest_name[] = "virtio-rings";

#define HOLE  0xd0000000ul
#define BYTES 32
#define GUARD 0x77

static struct Vdev dev;
static struct Vq q;
static uint8_t buf[BYTES];
static struct VqDesc table[VQ_MAX + 1];

static void start(uint64_t features)
{
    dev_negotiate(&dev, features);
    vq_init(&q, &dev, 0, NO_VECTOR);
    dev_ready(&dev);
    memset(buf, GUARD, sizeof(buf));
}

static void set(uint16_t i, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
    q.desc[i] = (struct VqDesc){ addr, len, flags, next };
}

/* Good buffers are filled, and nothing is broken. */
static void expect_good(const char *after)
{
    start(F_INDIRECT);
    vq_desc(&q, 0, buf, sizeof(buf), DESC_WRITE, 0);
    vq_offer(&q, 0);
    vq_kick(&q);
    int64_t n = vq_wait(&q);
    check(n > 0 && n <= BYTES, "%s: %ld bytes after the reset", after, n);
    check(!(dev_status(&dev) & STATUS_RESET), "%s: still broken after the reset", after);
}

static void expect_broken(const char *what)
{
    vq_kick(&q);
    check(dev_status(&dev) & STATUS_RESET, "%s: status 0x%x", what, dev_status(&dev));
    check(!vq_has_used(&q), "%s: a buffer was used", what);
    for (unsigned i = 0; i < BYTES; i++)
        check(buf[i] == GUARD, "%s: byte %u was written", what, i);
    expect_good(what);
}

static void try_chain(const char *what, uint64_t addr, uint32_t len, uint16_t flags, uint16_t next)
{
    start(F_INDIRECT);
    set(0, addr, len, flags, next);
    set(1, (uint64_t)buf, 4, DESC_WRITE | DESC_NEXT, 0);
    vq_offer(&q, 0);
    expect_broken(what);
}

static void try_chains(void)
{
    uint64_t end = memory_end(), good = (uint64_t)buf;
    trying("chains that loop, or leave the table");
    try_chain("a loop of one", good, 4, DESC_WRITE | DESC_NEXT, 0);
    try_chain("a loop of two", good, 4, DESC_WRITE | DESC_NEXT, 1);
    try_chain("a next one beyond the table", good, 4, DESC_WRITE | DESC_NEXT, q.size);
    try_chain("a next one far beyond the table", good, 4, DESC_WRITE | DESC_NEXT, 0xffff);
    trying("buffers where no memory is");
    try_chain("a buffer in the hole", HOLE, 4, DESC_WRITE, 0);
    try_chain("the device's own registers", dev.common, 4, DESC_WRITE, 0);
    try_chain("the local APIC", 0xfee00000, 4, DESC_WRITE, 0);
    try_chain("a buffer after the end of memory", end, 4, DESC_WRITE, 0);
    try_chain("a buffer across the end of memory", end - 2, 4, DESC_WRITE, 0);
    try_chain("a buffer from the last page on", end - PGSIZE, 0xffffffff, DESC_WRITE, 0);
    try_chain("an address that wraps", ~0ul - 1, 4, DESC_WRITE, 0);
    try_chain("a length that wraps", good, 0xffffffff, DESC_WRITE, 0);
    try_chain("a buffer at half of the address space", 1ul << 63, 4, DESC_WRITE, 0);

    trying("a buffer to be read after one to be written");
    start(0);
    set(0, good, 4, DESC_WRITE | DESC_NEXT, 1);
    set(1, good, 4, 0, 0);
    vq_offer(&q, 0);
    expect_broken("a buffer to be read after one to be written");
}

static void try_heads(void)
{
    trying("heads out of range, and an index that runs ahead");
    start(0);
    vq_offer(&q, q.size);
    expect_broken("a head beyond the table");
    start(0);
    vq_offer(&q, 0xffff);
    expect_broken("a head far beyond the table");
    start(0);
    q.avail.index = q.size + 1;
    expect_broken("an index ahead by more than the ring");
    start(0);
    q.avail.index = 0x8000;
    expect_broken("an index far ahead");
}

static void try_table(const char *what, uint64_t features, uint64_t addr, uint32_t len,
                      uint16_t flags)
{
    start(features);
    set(0, addr, len, DESC_TABLE | flags, 1);
    set(1, (uint64_t)buf, 4, DESC_WRITE, 0);
    vq_offer(&q, 0);
    expect_broken(what);
}

static void try_tables(void)
{
    uint64_t good = (uint64_t)table;
    trying("indirect tables");
    table[0] = (struct VqDesc){ (uint64_t)buf, BYTES, DESC_WRITE, 0 };
    try_table("a table that was not negotiated", 0, good, 16, 0);
    try_table("an empty table", F_INDIRECT, good, 0, 0);
    try_table("a table of half a descriptor", F_INDIRECT, good, 8, 0);
    try_table("a table of one and a half", F_INDIRECT, good, 24, 0);
    try_table("a table in the hole", F_INDIRECT, HOLE, 16, 0);
    try_table("a table across the end of memory", F_INDIRECT, memory_end() - 16, 32, 0);
    try_table("a table as long as 4 GiB", F_INDIRECT, good, 0xfffffff0, 0);
    try_table("a table and a next one", F_INDIRECT, good, 16, DESC_NEXT);
    table[0] = (struct VqDesc){ good, 16, DESC_TABLE, 0 };
    try_table("a table in a table", F_INDIRECT, good, 16, 0);
    table[0] = (struct VqDesc){ (uint64_t)buf, 4, DESC_WRITE | DESC_NEXT, 0 };
    try_table("a loop in a table", F_INDIRECT, good, 16, 0);
    table[0].next = 1;
    try_table("a next one beyond the table's end", F_INDIRECT, good, 16, 0);
    for (unsigned i = 0; i <= VQ_MAX; i++)
        table[i] = (struct VqDesc){ (uint64_t)buf, 1, DESC_WRITE | DESC_NEXT, i + 1 };
    table[VQ_MAX].flags = DESC_WRITE;
    try_table("a chain longer than the queue", F_INDIRECT, good, sizeof(table), 0);
}

/* Registers of queue 0 before it is enabled; is it enabled then? */
static bool enables(uint64_t desc, uint64_t avail, uint64_t used)
{
    dev_negotiate(&dev, 0);
    vq_init(&q, &dev, 0, NO_VECTOR);
    dev_negotiate(&dev, 0);
    mmio_write(dev.common + C_QUEUE_SELECT, 2, 0);
    const uint64_t areas[] = { desc, avail, used };
    for (unsigned i = 0; i < 3; i++) {
        mmio_write(dev.common + C_QUEUE_DESC + 8 * i, 4, areas[i]);
        mmio_write(dev.common + C_QUEUE_DESC + 8 * i + 4, 4, areas[i] >> 32);
    }
    mmio_write(dev.common + C_QUEUE_ENABLE, 2, 1);
    return mmio_read(dev.common + C_QUEUE_ENABLE, 2) == 1;
}

static void try_rings(void)
{
    uint64_t good = (uint64_t)&q;
    trying("rings where no memory is, or at odd addresses");
    check(enables(good, good + 0x800, good + 0xa00), "good rings are refused");
    check(!enables(HOLE, good + 0x800, good + 0xa00), "descriptors in the hole");
    check(!enables(good, HOLE, good + 0xa00), "an available ring in the hole");
    check(!enables(good, good + 0x800, memory_end() - 8), "a used ring across the end of memory");
    check(!enables(~0ul - 15, good + 0x800, good + 0xa00), "descriptors that wrap");
    check(!enables(good + 8, good + 0x800, good + 0xa00), "descriptors at an odd address");
    check(!enables(good, good + 0x801, good + 0xa00), "an available ring at an odd address");
    check(!enables(good, good + 0x800, good + 0xa02), "a used ring at an odd address");
    check(dev_status(&dev) & STATUS_RESET, "the device does not say so");
    expect_good("bad rings");
}

/* What the device writes may be anything's, also its own rings': it goes on, or breaks. */
static void try_overlap(void)
{
    trying("buffers over the rings themselves");
    for (unsigned i = 0; i < 20; i++) {
        start(F_INDIRECT | F_EVENT_IDX);
        set(0, (uint64_t)&q + i * 8, sizeof(q) - i * 8, DESC_WRITE, 0);
        vq_offer(&q, 0);
        vq_offer(&q, 0);
        vq_kick(&q);
        vq_kick(&q);
        expect_good("buffers over the rings");
    }
}

static void try_registers(void)
{
    static const uint16_t sizes[] = { 0, 3, 7, 0xffff };
    trying("queue sizes, features and a driver that is ready too early");
    dev_negotiate(&dev, 0);
    mmio_write(dev.common + C_QUEUE_SELECT, 2, 0);
    uint16_t most = mmio_read(dev.common + C_QUEUE_SIZE, 2);
    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        mmio_write(dev.common + C_QUEUE_SIZE, 2, sizes[i]);
        check(mmio_read(dev.common + C_QUEUE_SIZE, 2) == most, "a queue of %u entries", sizes[i]);
    }
    mmio_write(dev.common + C_QUEUE_SELECT, 2, 77);
    check(mmio_read(dev.common + C_QUEUE_SIZE, 2) == 0, "there is a queue 77");
    mmio_write(dev.common + C_QUEUE_DESC, 4, 0x1000);
    mmio_write(dev.common + C_QUEUE_ENABLE, 2, 1);

    dev_set_status(&dev, 0);
    dev_set_status(&dev, STATUS_ACK | STATUS_DRIVER);
    for (unsigned half = 0; half < 2; half++) {
        mmio_write(dev.common + C_DRIVER_SELECT, 4, half);
        mmio_write(dev.common + C_DRIVER_FEAT, 4, 0xffffffff);
    }
    dev_set_status(&dev, STATUS_ACK | STATUS_DRIVER | STATUS_FEATURES);
    check(!(dev_status(&dev) & STATUS_FEATURES), "it accepts features that it has not");
    dev_set_status(&dev, STATUS_ACK | STATUS_DRIVER | STATUS_OK);
    check(!(dev_status(&dev) & STATUS_OK), "the driver is ready without features");
    expect_good("a bad negotiation");
}

static void try_no_master(void)
{
    trying("a device that is no bus master");
    start(0);
    pci_write(dev.slot, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEM);
    vq_desc(&q, 0, buf, sizeof(buf), DESC_WRITE, 0);
    vq_offer(&q, 0);
    vq_kick(&q);
    check(!vq_has_used(&q) && buf[0] == GUARD, "it writes to memory");
    pci_write(dev.slot, PCI_COMMAND, 2, PCI_COMMAND_IO | PCI_COMMAND_MEM | PCI_COMMAND_MASTER);
    vq_kick(&q);
    check(vq_wait(&q) > 0, "it does not go on as one");
}

int guest_main(const struct MultibootInfo *info)
{
    (void)info;
    if (dev_find(&dev, VIRTIO_RNG)) {
        expect_good("the start");
        try_chains();
        try_heads();
        try_tables();
        try_rings();
        try_overlap();
        try_registers();
        try_no_master();
    }
    return check_result();
}
