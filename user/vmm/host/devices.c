/*
 * A target: a machine with all device models, driven by accesses at any place and of any size, by
 * what their peers do, and by time. Now and then a state is saved, and the machine goes on as the
 * one into which it was loaded; or a state comes that nobody has saved.
 *
 * A new device is one line in `parts`, with what it is connected to.
 */
#include <inc/error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <user/vmm/dev/debugexit.h>
#include <user/vmm/dev/power.h>
#include <user/vmm/dev/rtc.h>
#include <user/vmm/dev/uart.h>
#include <user/vmm/host/target.h>

#define COM_BASE  0x3f8
#define STATE_MAX 4096
#define MOST_OPS  2000

struct Bed {
    struct Bus bus;
    struct Uart uart;
    struct Rtc rtc;
    struct Power power;
    struct DebugExit debug_exit;
};

/* ---- The outside ---- */

static struct {
    uint64_t time;  /* seconds */
    unsigned line;  /* bytes that wait for the UART */
    unsigned calls; /* of peers, by one access */
    int level;      /* of the interrupt line */
} outside;

static int next_byte(bool ask)
{
    (void)ask;
    outside.calls++;
    return outside.line > 0 ? (int)(outside.line-- & 0xff) : -1;
}

static void put_bytes(const char *s, size_t n)
{
    volatile char last = n > 0 ? s[n - 1] : 0;
    (void)last;
    outside.calls++;
}

static void flush(void)
{
    outside.calls++;
}

static int64_t seconds(void)
{
    return outside.time;
}

static void switch_off(int status)
{
    HOLDS(status >= 0 && status <= 0xff, "status %d", status);
    outside.calls++;
}

static void reset(uint16_t port)
{
    HOLDS(port != 0, "port %u", port);
    outside.calls++;
}

static void set_line(void *to, bool level)
{
    *(int *)to = level;
}

static const struct UartPeer uart_peer = { next_byte, put_bytes, flush };
static const struct RtcPeer rtc_peer = { seconds };
static const struct PowerSwitch power_switch = { switch_off, reset };

/* ---- The machine ---- */

static int add_uart(struct Bed *b)
{
    return uart_add(&b->uart, &b->bus.ports, COM_BASE, &uart_peer,
                    (struct IrqLine){ set_line, &outside.level });
}

static int add_rtc(struct Bed *b)
{
    return rtc_add(&b->rtc, &b->bus.ports, &rtc_peer, (struct IrqLine){ NULL, NULL });
}

static int add_power(struct Bed *b)
{
    return power_add(&b->power, &b->bus.ports, &power_switch);
}

static int add_debug_exit(struct Bed *b)
{
    return debugexit_add(&b->debug_exit, &b->bus.ports, &power_switch);
}

static const struct {
    int (*add)(struct Bed *b);
    size_t at; /* the device in struct Bed */
} parts[] = {
    { add_uart, offsetof(struct Bed, uart) },
    { add_rtc, offsetof(struct Bed, rtc) },
    { add_power, offsetof(struct Bed, power) },
    { add_debug_exit, offsetof(struct Bed, debug_exit) },
};

static struct Device *device_of(struct Bed *b, unsigned part)
{
    return (struct Device *)((char *)b + parts[part].at);
}

static struct Bed *make_bed(void)
{
    struct Bed *b = calloc(1, sizeof(*b));
    for (unsigned i = 0; i < ARRAY_SIZE(parts); i++)
        HOLDS(parts[i].add(b) == 0, "part %u", i);
    return b;
}

/* ---- Accesses ---- */

/* An address: at or near a range that a device has, or any. */
static uint64_t take_address(struct Input *in, const struct BusSpace *space)
{
    unsigned which = input_take(in, 1);
    if (which == 0xff || space->nranges == 0)
        return input_take(in, 8);
    const struct BusRange *r = &space->ranges[which % space->nranges];
    uint64_t offset = input_take(in, r->count > 0xff ? 3 : 1);
    return r->first + offset % (r->count + 4) - (which & 0x80 ? 4 : 0);
}

static unsigned take_size(struct Input *in)
{
    return 1 << (input_take(in, 1) & 3);
}

static void check_work(void)
{
    HOLDS(outside.calls <= 64, "%u calls by one access", outside.calls);
}

static void do_read(struct Input *in, struct BusSpace *space)
{
    uint64_t address = take_address(in, space), value = 0;
    unsigned size = take_size(in);
    outside.calls = 0;
    bool claimed = bus_read(space, address, size, &value);
    HOLDS(claimed || value == ~0ul, "0x%lx at 0x%lx", value, address);
    check_work();
}

static void do_write(struct Input *in, struct BusSpace *space)
{
    uint64_t address = take_address(in, space);
    unsigned size = take_size(in);
    outside.calls = 0;
    bus_write(space, address, size, input_take(in, size));
    check_work();
}

/* ---- States ---- */

static size_t save(struct Bed *b, unsigned part, uint8_t *state)
{
    int64_t n = device_save(device_of(b, part), state, STATE_MAX);
    HOLDS(n > 0, "saving part %u: %ld", part, n);
    return n;
}

/* All of the machine into a new one, which goes on. */
static struct Bed *move(struct Bed *old)
{
    static uint8_t state[STATE_MAX], again[STATE_MAX];
    struct Bed *b = make_bed();
    for (unsigned i = 0; i < ARRAY_SIZE(parts); i++) {
        size_t n = save(old, i, state);
        HOLDS(device_load(device_of(b, i), state, n) == (int64_t)n, "loading part %u", i);
        HOLDS(save(b, i, again) == n && memcmp(state, again, n) == 0, "part %u differs", i);
        HOLDS(device_load(device_of(b, i), state, n - 1) == -E_INVAL, "a short state of %u", i);
    }
    free(old);
    return b;
}

/* A device takes a state that has been tampered with as it is, or says no and keeps its own. */
static void load_any(struct Input *in, struct Bed *b)
{
    static uint8_t before[STATE_MAX], state[STATE_MAX], after[STATE_MAX];
    unsigned part = input_take(in, 1) % ARRAY_SIZE(parts), changes = input_take(in, 1);
    size_t n = save(b, part, before);
    memcpy(state, before, n);
    for (unsigned i = 0; i < changes && in->size > 0; i++) {
        size_t at = input_take(in, 2) % n;
        state[at] = input_take(in, 1);
    }
    int64_t r = device_load(device_of(b, part), state, n);
    HOLDS(r == (int64_t)n || r == -E_INVAL, "part %u: %ld", part, r);
    save(b, part, after);
    HOLDS(memcmp(after, r < 0 ? before : state, n) == 0, "part %u has neither state", part);
}

/* ---- All together ---- */

static struct Bed *do_op(struct Input *in, struct Bed *b)
{
    unsigned op = input_take(in, 1);
    struct BusSpace *space = op & 0x10 ? &b->bus.memory : &b->bus.ports;
    switch (op & 0xf) {
    case 0 ... 3:
        do_read(in, space);
        break;
    case 4 ... 8:
        do_write(in, space);
        break;
    case 9:
        outside.time += input_take(in, 1);
        break;
    case 10:
        outside.time = input_take(in, 4);
        break;
    case 11:
        outside.line += input_take(in, 1);
        break;
    case 12:
        return move(b);
    case 13:
        load_any(in, b);
        break;
    }
    return b;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct Input in = { data, size };
    struct Bed *b = make_bed();
    memset(&outside, 0, sizeof(outside));
    for (unsigned i = 0; i < MOST_OPS && in.size > 0; i++)
        b = do_op(&in, b);
    free(b);
    return 0;
}
