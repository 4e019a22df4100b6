/*
 * The monitor's PCI bus and virtio devices (user/vmm/dev/), with memory of the test's own for a
 * guest's: whatever a driver does, they reach no page but RAM; a device that is brought into the
 * saved state of another one goes on as that one would.
 */
#include <user/vmm/dev/pci/pci.h>
#include <user/vmm/dev/virtio/console.h>
#include <user/vmm/dev/virtio/net.h>
#include <user/vmm/dev/virtio/rng.h>
#include "test.h"

#define RAM       0x10000ul
#define READ_ONLY 0x5000ul /* a page that the guest itself may not write to */
#define RINGS     0x2000ul /* desc, avail and used of queue n at n * 0x1000 from here on */
#define AVAIL     0x800ul
#define USED      0xc00ul
#define QSIZE     8
#define ROUNDS    150
#define STEPS     40

static uint32_t seed = 1;

static uint32_t random(void)
{
    seed = seed * 1664525 + 1013904223;
    return seed >> 8;
}

/* ---- A machine: PCI with three cards ---- */

struct Rig {
    struct Bus bus;
    struct PciHost pci;
    struct PciPeer pci_peer;
    struct Dma dma;
    struct DmaPeer dma_peer;
    struct VirtioPeer peer;
    struct VirtioRng rng;
    struct VirtioConsole console;
    struct VirtioNet net;
    struct NetPeer loopback;
    uint64_t messages; /* a sum over all interrupts */
    char ram[RAM];
};

static uint64_t stream; /* of random bytes, input and output; both rigs begin with the same */

static void *rig_map(void *to, unsigned n, gpa_t gpa, bool *writable)
{
    struct Rig *r = to;
    CHECK(gpa < RAM && gpa % PGSIZE == 0 && n < DMA_SLOTS, "page 0x%lx in slot %u", gpa, n);
    *writable = gpa != READ_ONLY;
    return r->ram + gpa;
}

static void rig_forget(void *to)
{
    (void)to;
}

static int rig_msi(void *to, uint64_t address, uint32_t data)
{
    struct Rig *r = to;
    r->messages = r->messages * 31 + address + data;
    return 0;
}

static void rig_tell(const char *device, const char *words)
{
    CHECK(device[0] && words[0], "a sentence");
}

static void fill(void *buf, size_t n)
{
    memset(buf, ++stream, n);
}

static int next(bool ask)
{
    (void)ask;
    return ++stream % 5 == 0 ? -1 : (int)(stream & 0x7f);
}

static void put(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        stream = stream * 33 + s[i];
}

static void flush(void)
{
}

static const struct RngPeer random_peer = { fill };
static const struct ConsolePeer line = { next, put, flush };
static const uint8_t mac[NET_MAC] = { 2, 0, 0, 0, 0, 1 };

static void rig_init(struct Rig *r)
{
    memset(r, 0, sizeof(*r));
    r->dma_peer = (struct DmaPeer){ rig_map, rig_forget, r };
    r->pci_peer = (struct PciPeer){ rig_msi, r };
    r->peer = (struct VirtioPeer){ &r->pci, &r->dma, rig_tell };
    dma_init(&r->dma, &r->dma_peer, RAM, NULL);
    net_loopback(&r->loopback, &r->net);
    CHECK_IS(pci_host_add(&r->pci, &r->bus, &r->pci_peer), 0);
    CHECK_IS(virtio_rng_add(&r->rng, &r->peer, &random_peer), 0);
    CHECK_IS(virtio_console_add(&r->console, &r->peer, &line), 0);
    CHECK_IS(virtio_net_add(&r->net, &r->peer, &r->loopback, mac), 0);
}

#define NDEVICES 3

static struct Virtio *device(struct Rig *r, unsigned n)
{
    struct Virtio *all[NDEVICES] = { &r->rng.virtio, &r->console.virtio, &r->net.virtio };
    return all[n % NDEVICES];
}

/* ---- A driver ---- */

static void write_reg(struct Rig *r, unsigned n, uint64_t offset, unsigned size, uint64_t value)
{
    uint64_t base = device(r, n)->pci.bars[0].mapped;
    if (base)
        bus_write(&r->bus.memory, base + offset, size, value);
}

static uint64_t read_reg(struct Rig *r, unsigned n, uint64_t offset, unsigned size)
{
    uint64_t base = device(r, n)->pci.bars[0].mapped, value = 0;
    if (base)
        bus_read(&r->bus.memory, base + offset, size, &value);
    return value;
}

static void doorbell(struct Rig *r, unsigned n, unsigned queue)
{
    uint64_t port = device(r, n)->pci.bars[1].mapped;
    if (port)
        bus_write(&r->bus.ports, port, 2, queue);
}

/* As a driver does it. features: the low half. */
static void set_up(struct Rig *r, unsigned n, uint32_t features)
{
    pci_write(&device(r, n)->pci, PCI_COMMAND, 2, 7);
    write_reg(r, n, 0x14, 1, 0);
    write_reg(r, n, 0x14, 1, 3);
    write_reg(r, n, 0x08, 4, 0);
    write_reg(r, n, 0x0c, 4, features & read_reg(r, n, 0x04, 4));
    write_reg(r, n, 0x08, 4, 1);
    write_reg(r, n, 0x0c, 4, 1);
    write_reg(r, n, 0x14, 1, 11);
    for (unsigned q = 0; q < read_reg(r, n, 0x12, 2); q++) {
        uint64_t rings = RINGS + q * 0x1000;
        write_reg(r, n, 0x16, 2, q);
        write_reg(r, n, 0x18, 2, QSIZE);
        write_reg(r, n, 0x1a, 2, q);
        write_reg(r, n, 0x20, 8, rings);
        write_reg(r, n, 0x28, 8, rings + AVAIL);
        write_reg(r, n, 0x30, 8, rings + USED);
        write_reg(r, n, 0x1c, 2, 1);
        write_reg(r, n, 0x1000 + 16 * q, 4, 0xfee00000);
        write_reg(r, n, 0x1008 + 16 * q, 4, 0x40 + q);
        write_reg(r, n, 0x100c + 16 * q, 4, 0);
    }
    pci_write(&device(r, n)->pci, PCI_FREE + 2, 2, 0x8000);
    write_reg(r, n, 0x14, 1, 15);
}

static uint64_t any_address(uint32_t dice)
{
    static const uint64_t odd[] = { RAM - 8,   RAM - PGSIZE, RAM,      0,
                                    READ_ONLY, 0xc0000000,   ~0ul - 7, 1ul << 63 };
    return dice % 3 ? dice % RAM : odd[dice / 3 % ARRAY_SIZE(odd)];
}

/* A descriptor in a ring, or in what may be taken for an indirect table. */
static void random_desc(struct Rig *r, uint32_t a, uint32_t b, uint32_t c)
{
    char *at = r->ram + (a & 64 ? 0x6000 : RINGS + (a & 1) * 0x1000) + (a >> 8 & 7) * 16;
    uint64_t address = a & 2 ? 0x6000 : any_address(b);
    uint32_t len = c % 4 ? c / 4 % 300 : c * 16777;
    uint16_t flags = b >> 20 & 7, next = c >> 16 & (c & 8 ? 7 : 0xffff);
    memcpy(at, &address, 8);
    memcpy(at + 8, &len, 4);
    memcpy(at + 12, &flags, 2);
    memcpy(at + 14, &next, 2);
}

static void random_offer(struct Rig *r, uint32_t a)
{
    char *avail = r->ram + RINGS + (a & 1) * 0x1000 + AVAIL;
    uint16_t index, head = a >> 8 & (a & 2 ? 7 : 15), flags = a >> 16 & 1;
    memcpy(&index, avail + 2, 2);
    memcpy(avail, &flags, 2);
    memcpy(avail + 4 + 2 * (index % QSIZE), &head, 2);
    index += a % 40 == 0 ? a >> 4 & 0xff : 1;
    memcpy(avail + 2, &index, 2);
}

/* A step of a driver that knows the ways, but not the rules. What it reads is the result. */
static uint64_t step(struct Rig *r, unsigned n, const uint32_t dice[4])
{
    uint32_t a = dice[1], b = dice[2], c = dice[3];
    unsigned size = 1u << (b & 3);
    switch (dice[0] % 16) {
    case 0:
        write_reg(r, n, (a & 0x3f) & ~(size - 1), size, c);
        return 0;
    case 1:
        write_reg(r, n, 0x1000 + (a & 0xfff), size, (uint64_t)c << 20 | b);
        return 0;
    case 2:
        pci_write(&device(r, n)->pci, a & 0xff, 1u << b % 3, c);
        return 0;
    case 3:
        return pci_read(&device(r, n)->pci, a & 0xff, 1u << b % 3);
    case 4:
    case 5:
        return read_reg(r, n, a % 8 ? a & 0x3ff : a & 0x1fff, size);
    case 6:
        set_up(r, n, a & 1 ? 0 : ~0u);
        return 0;
    case 7:
    case 8:
    case 9:
        random_desc(r, a, b, c);
        return 0;
    case 10:
        virtio_console_input(&r->console);
        return 0;
    case 11:
    case 12:
        random_offer(r, a);
        return 0;
    default:
        doorbell(r, n, a % 3);
        return 0;
    }
}

static struct Rig a, b;

static void roll(uint32_t dice[4])
{
    for (unsigned i = 0; i < 4; i++)
        dice[i] = random();
}

static void test_wild(void)
{
    uint32_t dice[4];
    for (unsigned round = 0; round < ROUNDS; round++) {
        rig_init(&a);
        for (unsigned n = 0; n < NDEVICES; n++)
            set_up(&a, n, ~0u);
        for (unsigned i = 0; i < 10 * STEPS; i++) {
            roll(dice);
            step(&a, dice[0] >> 8, dice);
        }
    }
}

/* Bring device n of b into the state of a's. */
static void copy_state(unsigned n)
{
    static char state[8192];
    int64_t size = device_save(&device(&a, n)->device, state, sizeof(state));
    CHECK(size > 0, "saved: %ld", size);
    CHECK_IS(device_load(&device(&b, n)->device, state, size), size);
    memcpy(b.ram, a.ram, RAM);
}

static void test_saved(void)
{
    uint32_t dice[STEPS][4];
    uint64_t answers[STEPS];
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned n = round % NDEVICES;
        rig_init(&a);
        rig_init(&b);
        set_up(&a, n, ~0u);
        for (unsigned i = 0; i < STEPS; i++) {
            roll(dice[0]);
            step(&a, n, dice[0]);
        }
        copy_state(n);
        for (unsigned i = 0; i < STEPS; i++)
            roll(dice[i]);
        a.messages = b.messages = stream = 0;
        for (unsigned i = 0; i < STEPS; i++)
            answers[i] = step(&a, n, dice[i]);
        uint64_t end = stream;
        stream = 0;
        for (unsigned i = 0; i < STEPS; i++) {
            uint64_t v = step(&b, n, dice[i]);
            CHECK(v == answers[i], "round %u, step %u: 0x%lx and 0x%lx", round, i, answers[i], v);
        }
        CHECK(memcmp(a.ram, b.ram, RAM) == 0, "round %u: memory differs", round);
        CHECK_IS(a.messages, b.messages);
        CHECK_IS(stream, end);
    }
}

/* Whatever the bytes of a state are: it is refused, or the device harms nobody. */
static void test_any_state(void)
{
    static char state[8192];
    uint32_t dice[4];
    unsigned taken = 0;
    rig_init(&a);
    for (unsigned round = 0; round < 20 * ROUNDS; round++) {
        unsigned n = round % NDEVICES;
        set_up(&a, n, ~0u);
        int64_t size = device_save(&device(&a, n)->device, state, sizeof(state));
        unsigned header = size - device(&a, n)->device.kind->size;
        state[header + random() % (size - header)] ^= 1u << random() % 8;
        taken += device_load(&device(&a, n)->device, state, size) == size;
        for (unsigned i = 0; i < 5; i++) {
            roll(dice);
            step(&a, n, dice);
        }
    }
    CHECK(taken > 0 && taken < 20 * ROUNDS, "%u states were taken", taken);
}

/* ---- The bus ---- */

static void test_bars(void)
{
    rig_init(&a);
    struct PciFunction *f = &a.rng.virtio.pci, *g = &a.net.virtio.pci;
    uint64_t at = f->bars[0].mapped, others = g->bars[0].mapped;
    CHECK(at && others && at != others, "BARs at 0x%lx and 0x%lx", at, others);
    pci_write(f, PCI_BAR, 4, others);
    CHECK_IS(f->bars[0].mapped, others); /* the lower slot answers */
    CHECK_IS(g->bars[0].mapped, 0);
    pci_write(f, PCI_BAR, 4, at);
    CHECK_IS(f->bars[0].mapped, at);
    CHECK_IS(g->bars[0].mapped, others);
    static const uint32_t refused[] = { 0, 0x1000, 0xbfffe000, 0xfec00000, 0xfee00000, 0xffffe000 };
    for (unsigned i = 0; i < ARRAY_SIZE(refused); i++) {
        pci_write(f, PCI_BAR, 4, refused[i]);
        CHECK_IS(f->bars[0].mapped, 0);
    }
    pci_write(f, PCI_BAR, 4, PCI_MEM_END - 0x2000);
    CHECK_IS(f->bars[0].mapped, PCI_MEM_END - 0x2000);
    pci_write(f, PCI_COMMAND, 2, PCI_COMMAND_IO);
    CHECK_IS(f->bars[0].mapped, 0);
    CHECK_IS(bus_remove(&a.bus.memory, at, &a.rng.virtio.device), -E_NOT_FOUND);
    CHECK_IS(bus_remove(&a.bus.memory, others, &a.rng.virtio.device), -E_NOT_FOUND);
    CHECK_IS(bus_remove(&a.bus.memory, others, &a.net.virtio.device), 0);
    CHECK_IS(bus_remove(&a.bus.memory, others, &a.net.virtio.device), -E_NOT_FOUND);
}

/* ---- Messages ---- */

#define MESSAGE 0xfee00000
#define DATA    0x41

/* The sum over what a change of the configuration sends. */
static uint64_t sent(struct Rig *r)
{
    r->messages = 0;
    virtio_config_changed(&r->rng.virtio);
    return r->messages;
}

/* By the capability's rules: MSI-X comes first, and a function that is no bus master is silent. */
static void test_msi(void)
{
    struct Virtio *v = &a.rng.virtio;
    rig_init(&a);
    set_up(&a, 0, ~0u);
    pci_write(&v->pci, v->msix.cap + 2, 2, 0);
    pci_write(&v->pci, v->msi + 4, 4, MESSAGE | 3);
    pci_write(&v->pci, v->msi + 12, 4, 0xabcd0000 | DATA);
    CHECK_IS(sent(&a), 0);
    CHECK_IS(read_reg(&a, 0, 0x100, 1), 2); /* ISR: the configuration */
    pci_write(&v->pci, v->msi + 2, 2, 0xffff);
    CHECK_IS(pci_read(&v->pci, v->msi + 2, 2), 0x81); /* enabled, 64 bits, one message */
    CHECK_IS(sent(&a), MESSAGE + DATA);
    CHECK_IS(read_reg(&a, 0, 0x100, 1), 2);
    pci_write(&v->pci, v->msix.cap + 2, 2, 0x8000);
    CHECK_IS(sent(&a), 0); /* the configuration has no vector of MSI-X */
    pci_write(&v->pci, v->msix.cap + 2, 2, 0);
    pci_write(&v->pci, v->msi + 8, 4, 1);
    CHECK_IS(sent(&a), (1ul << 32) + MESSAGE + DATA);
    pci_write(&v->pci, PCI_COMMAND, 2, PCI_COMMAND_MEM);
    CHECK_IS(sent(&a), 0);
}

int umain(int argc, char **argv)
{
    static const struct Test tests[] = {
        { "bars", test_bars },           { "msi", test_msi },
        { "wild", test_wild },           { "saved", test_saved },
        { "any-state", test_any_state },
    };
    return run_tests(tests, ARRAY_SIZE(tests), argc, argv);
}
