/*
 * The monitor's devices (user/vmm/dev/): who answers on the bus, and that a device whose state was
 * saved goes on as the one it was saved from. Devices are driven at random, and compared by what
 * they answer.
 */
#include <inc/acpi.h>
#include <inc/uart.h>
#include <user/vmm/dev/debugexit.h>
#include <user/vmm/dev/ioapic.h>
#include <user/vmm/dev/pm.h>
#include <user/vmm/dev/power.h>
#include <user/vmm/dev/rtc.h>
#include <user/vmm/dev/uart.h>
#include "test.h"

#define COM_BASE 0x3f8
#define ROUNDS   300
#define STEPS    60

static uint32_t seed = 1;

static uint32_t random(void)
{
    seed = seed * 1664525 + 1013904223;
    return seed >> 8;
}

/* ---- What devices are connected to ---- */

static char sent[4096];
static size_t nsent;
static int input = -1; /* bytes that are left on the line, and what they are; -1: none */
static int last_status = -1;
static uint16_t last_reset;
static int irq_level;
static unsigned irq_edges; /* that have risen */

static int next_byte(bool ask)
{
    (void)ask;
    return input > 0 ? 'a' + input-- : -1;
}

static void put_bytes(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sent[nsent++ % sizeof(sent)] = s[i];
}

static void flush_nothing(void)
{
}

static void note_off(int status)
{
    last_status = status;
}

static void note_reset(uint16_t port)
{
    last_reset = port;
}

static void note_irq(void *to, bool level)
{
    irq_edges += level && !*(int *)to;
    *(int *)to = level;
}

static const struct UartPeer peer = { next_byte, put_bytes, flush_nothing };
static const struct PowerSwitch power = { note_off, note_reset };
static const struct IrqLine irq = { note_irq, &irq_level };

static uint64_t in(struct BusSpace *ports, uint16_t port, unsigned size)
{
    uint64_t v;
    bus_read(ports, port, size, &v);
    return v;
}

/* ---- The bus ---- */

static void test_ranges(void)
{
    struct BusSpace ports = { .nranges = 0 };
    struct Uart a, b;
    uint64_t v = 0;
    CHECK_IS(uart_add(&a, &ports, COM_BASE, &peer, irq), 0);
    CHECK_IS(uart_add(&b, &ports, COM_BASE + 7, &peer, irq), -E_BUSY);
    CHECK_IS(uart_add(&b, &ports, COM_BASE - 7, &peer, irq), -E_BUSY);
    CHECK_IS(uart_add(&b, &ports, COM_BASE - 8, &peer, irq), 0);
    CHECK(!bus_read(&ports, 0x80, 1, &v), "a read that no device has claimed");
    CHECK_IS(v, -1);
    CHECK(!bus_write(&ports, 0x80, 4, 0), "a write that no device has claimed");
    CHECK_IS(bus_write(&ports, COM_BASE + COM_SCR, 1, 0x11), true);
    CHECK_IS(bus_write(&ports, COM_BASE - 1, 1, 0x22), true); /* the other one's COM_SCR */
    CHECK_IS(in(&ports, COM_BASE + COM_SCR, 1), 0x11);
    CHECK_IS(in(&ports, COM_BASE - 1, 1), 0x22);
    for (unsigned i = 2; i < BUS_RANGES; i++)
        CHECK_IS(bus_add(&ports, 0x1000 + i, 1, &a.device, 0), 0);
    CHECK_IS(bus_add(&ports, 0x2000, 1, &a.device, 0), -E_NO_MEM);
}

/* A wide access reaches neighbours in the same range, and nothing beyond it. */
static void test_widths(void)
{
    struct BusSpace ports = { .nranges = 0 };
    struct Uart a, b;
    CHECK_IS(uart_add(&a, &ports, COM_BASE, &peer, irq), 0);
    CHECK_IS(uart_add(&b, &ports, COM_BASE + COM_NPORTS, &peer, irq), 0);
    bus_write(&ports, COM_BASE + COM_SCR, 4, 0x11223344);
    CHECK_IS(in(&ports, COM_BASE + COM_SCR, 1), 0x44);
    CHECK_IS(in(&ports, COM_BASE + COM_NPORTS + COM_IER, 1), 0);
    CHECK_IS(in(&ports, COM_BASE + COM_SCR, 2), 0xffffffffffffff44);
    bus_write(&ports, COM_BASE + COM_LCR, 2, 0x1f03);
    CHECK_IS(in(&ports, COM_BASE + COM_LCR, 2) & 0xffff, 0x1f03);
}

static void test_power(void)
{
    struct BusSpace ports = { .nranges = 0 };
    struct Power p;
    struct DebugExit x;
    CHECK_IS(power_add(&p, &ports, &power), 0);
    CHECK_IS(debugexit_add(&x, &ports, &power), 0);
    bus_write(&ports, 0x501, 1, 42);
    CHECK_IS(last_status, 42);
    bus_write(&ports, 0xcf8, 4, ~0ul);
    bus_write(&ports, 0x64, 1, 0xff);
    CHECK_IS(last_reset, 0);
    bus_write(&ports, 0x64, 1, 0xfe);
    CHECK_IS(last_reset, 0x64);
    bus_write(&ports, 0xcf9, 1, 6);
    CHECK_IS(last_reset, 0xcf9);
    CHECK_IS(in(&ports, 0x64, 1), 0);
}

/* ---- Output that the kernel has collected ---- */

static void collect(struct GuestSerial *s, const char *text)
{
    for (; *text; text++)
        s->ring[s->head++ % GUEST_SERIAL_RING] = *text;
}

/* It goes out before whatever the guest does next, in the order in which it came. */
static void test_collected(void)
{
    static struct GuestSerial s;
    struct BusSpace ports = { .nranges = 0 };
    struct Uart u;
    CHECK_IS(uart_add(&u, &ports, COM_BASE, &peer, irq), 0);
    s.head = s.tail = -2u; /* the counters pass their end */
    uart_share(&u, &s, COM_BASE);
    CHECK_IS(s.port, COM_BASE);
    CHECK_IS(s.lsr, LSR_THRE | LSR_TEMT);
    nsent = 0;
    collect(&s, "abcd");
    bus_write(&ports, COM_BASE + COM_DATA, 1, 'e');
    CHECK_IS(s.tail, s.head);
    CHECK_IS(nsent, 5);
    CHECK(memcmp(sent, "abcde", 5) == 0, "sent: %.5s", sent);
    collect(&s, "f");
    uart_output(&u);
    CHECK_IS(nsent, 6);
    bus_write(&ports, COM_BASE + COM_LCR, 1, LCR_DLAB);
    CHECK_IS(s.port, GUEST_NO_SERIAL);
    bus_write(&ports, COM_BASE + COM_LCR, 1, LCR_8N1);
    CHECK_IS(s.port, COM_BASE);
    bus_write(&ports, COM_BASE + COM_MCR, 1, MCR_LOOP);
    CHECK_IS(s.port, GUEST_NO_SERIAL);
}

/* ---- The I/O APIC, and ACPI's registers ---- */

static uint64_t last_address;
static uint32_t last_data;
static unsigned nmessages;

static void note_message(void *to, uint64_t address, uint32_t data)
{
    (void)to;
    last_address = address;
    last_data = data;
    nmessages++;
}

static void set_entry(struct BusSpace *memory, unsigned n, uint64_t entry)
{
    for (unsigned half = 0; half < 2; half++) {
        bus_write(memory, IOAPIC_ADDRESS, 4, 0x10 + 2 * n + half);
        bus_write(memory, IOAPIC_ADDRESS + 0x10, 4, (uint32_t)(entry >> 32 * half));
    }
}

/* An edge sends a message, once, unless the input is masked. */
static void test_ioapic(void)
{
    struct BusSpace memory = { .nranges = 0 };
    static struct Ioapic a;
    uint64_t v;
    CHECK_IS(ioapic_add(&a, &memory, (struct MessagePeer){ note_message, NULL }), 0);
    struct IrqLine line = ioapic_line(&a, 9);
    irq_set(&line, true);
    irq_set(&line, false);
    CHECK_IS(nmessages, 0);
    set_entry(&memory, 9, 0x0300000000000851); /* logical destination 3, fixed, vector 0x51 */
    irq_set(&line, true);
    irq_set(&line, true);
    CHECK_IS(nmessages, 1);
    CHECK_IS(last_address, 0xfee03004);
    CHECK_IS(last_data, 0x51);
    irq_set(&line, false);
    irq_set(&line, true);
    CHECK_IS(nmessages, 2);
    bus_write(&memory, IOAPIC_ADDRESS, 4, 1);
    CHECK_IS(bus_read(&memory, IOAPIC_ADDRESS + 0x10, 4, &v), true);
    CHECK_IS(v >> 16, IOAPIC_INPUTS - 1);
    bus_write(&memory, IOAPIC_ADDRESS, 4, 0x10 + 2 * IOAPIC_INPUTS); /* no such entry */
    bus_write(&memory, IOAPIC_ADDRESS + 0x10, 4, ~0u);
    CHECK_IS(bus_read(&memory, IOAPIC_ADDRESS + 0x10, 4, &v), true);
    CHECK_IS(v, 0);
}

static uint64_t now_ticks;

static uint64_t pm_now(void)
{
    return now_ticks;
}

static const struct PmPeer pm_peer = { .ticks = pm_now };

static void test_pm(void)
{
    struct BusSpace ports = { .nranges = 0 };
    struct Pm p;
    irq_level = 0;
    CHECK_IS(pm_add(&p, &ports, &pm_peer, &power, irq), 0);
    CHECK_IS(pm_press_power(&p), false); /* it is not enabled */
    bus_write(&ports, PORT_PM1_EVENT + 2, 2, PM1_POWER_BUTTON | PM1_TIMER);
    CHECK_IS(pm_press_power(&p), true);
    CHECK_IS(irq_level, 1);
    CHECK_IS(in(&ports, PORT_PM1_EVENT, 2) & PM1_POWER_BUTTON, PM1_POWER_BUTTON);
    unsigned edges = irq_edges;
    CHECK_IS(pm_press_power(&p), true); /* again, and nobody has cleared the first */
    CHECK_IS(irq_edges, edges + 1);
    bus_write(&ports, PORT_PM1_EVENT, 2, PM1_POWER_BUTTON);
    CHECK_IS(irq_level, 0);
    now_ticks = 0x80000000; /* the top bit has changed */
    CHECK_IS(in(&ports, PORT_PM_TIMER, 4), 0x80000000);
    CHECK_IS(irq_level, 1);
    CHECK_IS(in(&ports, PORT_PM1_EVENT, 4) & 0xffff, PM1_TIMER);
    last_status = -1;
    bus_write(&ports, PORT_PM1_CONTROL, 2, 3 << 10 | PM1_SLEEP_ENABLE); /* no such sleep */
    CHECK_IS(last_status, -1);
    bus_write(&ports, PORT_PM1_CONTROL, 2, PM_SLEEP_OFF << 10 | PM1_SLEEP_ENABLE);
    CHECK_IS(last_status, 0);
}

/* ---- The clock ---- */

static int64_t clock_now;

static int64_t seconds(void)
{
    return clock_now;
}

static const struct RtcPeer clock = { .seconds = seconds };

static uint8_t cmos(struct BusSpace *ports, uint8_t index)
{
    bus_write(ports, 0x70, 1, index);
    return in(ports, 0x71, 1);
}

static void set_cmos(struct BusSpace *ports, uint8_t index, uint8_t value)
{
    bus_write(ports, 0x70, 1, index);
    bus_write(ports, 0x71, 1, value);
}

/* Second, minute, hour, weekday, day, month, year, century of the clock's registers. */
static void expect_time(struct BusSpace *ports, const uint8_t *want)
{
    static const uint8_t index[] = { 0, 2, 4, 6, 7, 8, 9, 0x32 };
    for (size_t i = 0; i < sizeof(index); i++)
        CHECK(cmos(ports, index[i]) == want[i], "register 0x%x: 0x%x, expected 0x%x", index[i],
              cmos(ports, index[i]), want[i]);
}

static void test_rtc(void)
{
    struct BusSpace ports = { .nranges = 0 };
    struct Rtc a, b;
    char state[256];
    CHECK_IS(rtc_add(&a, &ports, &clock, irq), 0);
    clock_now = 951782399; /* 28 February 2000, 23:59:59, a Monday */
    expect_time(&ports, (uint8_t[]){ 0x59, 0x59, 0x23, 2, 0x28, 2, 0, 0x20 });
    clock_now++;
    expect_time(&ports, (uint8_t[]){ 0, 0, 0, 3, 0x29, 2, 0, 0x20 });
    set_cmos(&ports, 0xb, 6); /* binary */
    set_cmos(&ports, 9, 26);
    expect_time(&ports, (uint8_t[]){ 0, 0, 0, 7, 28, 2, 26, 20 }); /* which had no 29th */
    set_cmos(&ports, 8, 13);                                       /* no month */
    set_cmos(&ports, 4, 24);                                       /* no hour */
    set_cmos(&ports, 0x40, 0xa5);
    CHECK_IS(cmos(&ports, 0x40), 0xa5);
    CHECK_IS(cmos(&ports, 0xa) & 0x80, 0);
    CHECK_IS(cmos(&ports, 0xd), 0x80);
    int64_t size = device_save(&a.device, state, sizeof(state));
    struct BusSpace other = { .nranges = 0 };
    CHECK_IS(rtc_add(&b, &other, &clock, irq), 0);
    CHECK_IS(device_load(&b.device, state, size), size);
    clock_now += 61;
    expect_time(&other, (uint8_t[]){ 1, 1, 0, 7, 28, 2, 26, 20 });
    CHECK_IS(cmos(&other, 0x40), 0xa5);
}

/* ---- States ---- */

/* A random access to the UART. What it reads, or a number that says that it has written. */
static uint64_t step(struct BusSpace *ports, uint32_t dice)
{
    uint16_t port = COM_BASE + (dice & 7);
    if (dice & 8)
        return in(ports, port, 1);
    bus_write(ports, port, 1, dice >> 8 & 0xff);
    return 0x100;
}

/* One after the other do the same, so each begins with the same input. */
static void drive(struct BusSpace *ports, const uint32_t *dice, uint64_t *answers)
{
    input = 20;
    nsent = 0;
    for (unsigned i = 0; i < STEPS; i++)
        answers[i] = step(ports, dice[i]) | (uint64_t)irq_level << 32;
    answers[STEPS] = nsent;
}

static void test_saved(void)
{
    static char state[256];
    static uint32_t dice[STEPS];
    uint64_t first[STEPS + 1], second[STEPS + 1];
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct BusSpace ports_a = { .nranges = 0 }, ports_b = { .nranges = 0 };
        struct Uart a, b;
        CHECK_IS(uart_add(&a, &ports_a, COM_BASE, &peer, irq), 0);
        CHECK_IS(uart_add(&b, &ports_b, COM_BASE, &peer, irq), 0);
        input = 30;
        for (unsigned i = 0; i < STEPS; i++)
            step(&ports_a, random());
        int64_t size = device_save(&a.device, state, sizeof(state));
        CHECK(size > 0, "saved: %ld", size);
        CHECK_IS(device_load(&b.device, state, size), size);
        for (unsigned i = 0; i < STEPS; i++)
            dice[i] = random();
        int level = irq_level;
        drive(&ports_a, dice, first);
        irq_level = level;
        drive(&ports_b, dice, second);
        for (unsigned i = 0; i <= STEPS; i++)
            CHECK(first[i] == second[i], "round %u, step %u: 0x%lx and 0x%lx", round, i, first[i],
                  second[i]);
    }
}

/* Not a state: another kind, version or size, too short, or values that no UART has. */
static void test_refused(void)
{
    struct BusSpace ports = { .nranges = 0 };
    struct Uart a;
    struct Power p;
    char state[256], bad[256];
    CHECK_IS(uart_add(&a, &ports, COM_BASE, &peer, irq), 0);
    CHECK_IS(power_add(&p, &ports, &power), 0);
    int64_t size = device_save(&a.device, state, sizeof(state));
    CHECK_IS(device_save(&a.device, bad, size - 1), -E_NO_MEM);
    CHECK_IS(device_load(&a.device, state, size - 1), -E_INVAL);
    CHECK_IS(device_load(&a.device, state, 0), -E_INVAL);
    CHECK_IS(device_load(&p.device, state, size), -E_INVAL);
    size_t header = size - sizeof(struct UartState);
    for (size_t i = 0; i < header; i++) {
        memcpy(bad, state, size);
        bad[i] ^= 1;
        CHECK(device_load(&a.device, bad, size) == -E_INVAL, "byte %zu of the header", i);
    }
    memcpy(bad, state, size);
    bad[header + offsetof(struct UartState, rx_count)] = UART_FIFO + 1;
    CHECK_IS(device_load(&a.device, bad, size), -E_INVAL);
    size = device_save(&p.device, state, sizeof(state));
    CHECK_IS(size, header);
    CHECK_IS(device_load(&p.device, state, size), size);
}

/* Whatever the bytes of a state are, the UART that takes them harms nobody. */
static void test_any_state(void)
{
    struct BusSpace ports = { .nranges = 0 };
    struct Uart a;
    uint8_t state[256];
    CHECK_IS(uart_add(&a, &ports, COM_BASE, &peer, irq), 0);
    int64_t size = device_save(&a.device, state, sizeof(state));
    for (unsigned round = 0; round < 20 * ROUNDS; round++) {
        unsigned at = size - sizeof(struct UartState) + random() % sizeof(struct UartState);
        uint8_t old = state[at];
        state[at] = random();
        if (device_load(&a.device, state, size) < 0)
            state[at] = old;
        input = 3;
        for (unsigned i = 0; i < STEPS; i++)
            step(&ports, random());
        CHECK(a.s.rx_count <= UART_FIFO, "%u bytes in the FIFO", a.s.rx_count);
    }
}

int umain(int argc, char **argv)
{
    static const struct Test tests[] = {
        { "ranges", test_ranges },
        { "widths", test_widths },
        { "power", test_power },
        { "rtc", test_rtc },
        { "collected", test_collected },
        { "ioapic", test_ioapic },
        { "pm", test_pm },
        { "saved", test_saved },
        { "refused", test_refused },
        { "any-state", test_any_state },
    };
    return run_tests(tests, ARRAY_SIZE(tests), argc, argv);
}
