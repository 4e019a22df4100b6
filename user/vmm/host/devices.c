/*
 * Targets: a machine with all device models, driven by accesses at any place and of any size, by a
 * driver, by what its peers do, and by time. Now and then its state is saved, and the machine goes
 * on as the one into which it was loaded; or a state comes that nobody has saved. The program's
 * name, after "fuzz-" or "replay-", says which device models the input drives: all, or one.
 */
#include <inc/error.h>
#include <stdlib.h>
#include <string.h>
#include <user/vmm/host/driver.h>
#include <user/vmm/host/memory.h>

#define STATE_MAX  4096
#define MOST_OPS   300
#define MOST_MOVES 4

/* ---- Accesses ---- */

/* An address: at or near a range that a device has, or any. */
static uint64_t take_address(const struct Bed *b, struct Input *in, const struct BusSpace *space)
{
    const struct BusRange *ranges[BUS_RANGES];
    unsigned which = input_take(in, 1), n = bed_ranges(b, space, ranges);
    if (which == 0xff || n == 0)
        return input_take(in, 8);
    const struct BusRange *r = ranges[which % n];
    uint64_t offset = input_take(in, r->count > 0xff ? 2 : 1);
    return r->first + offset % (r->count + 4) - (which & 0x80 ? 4 : 0);
}

static void read_at(const struct Bed *b, struct Input *in, struct BusSpace *space)
{
    uint64_t address = take_address(b, in, space), value = 0;
    bool claimed = bus_read(space, address, 1u << (input_take(in, 1) & 3), &value);
    HOLDS(claimed || value == ~0ul, "0x%lx at 0x%lx", value, address);
}

static void write_at(const struct Bed *b, struct Input *in, struct BusSpace *space)
{
    uint64_t address = take_address(b, in, space);
    unsigned size = 1u << (input_take(in, 1) & 3);
    bus_write(space, address, size, input_take(in, size));
}

static void read_port(struct Bed *b, struct Input *in)
{
    read_at(b, in, &b->bus.ports);
}

static void write_port(struct Bed *b, struct Input *in)
{
    write_at(b, in, &b->bus.ports);
}

static void read_register(struct Bed *b, struct Input *in)
{
    read_at(b, in, &b->bus.memory);
}

static void write_register(struct Bed *b, struct Input *in)
{
    write_at(b, in, &b->bus.memory);
}

/* A function's configuration space, in the way of a guest: by the ports, or in memory. */
static void access_config(struct Bed *b, struct Input *in)
{
    unsigned slot = input_take(in, 1), reg = input_take(in, 1), how = input_take(in, 1);
    unsigned size = 1u << how % 3, at = slot % (BED_VIRTIO + 2);
    bool in_memory = how & 0x40;
    struct BusSpace *space = in_memory ? &b->bus.memory : &b->bus.ports;
    uint64_t address = in_memory ? ECAM_START + at * 0x8000 + reg : 0xcfc + (reg & 3), value;
    if (!in_memory)
        bus_write(space, 0xcf8, 4, 0x80000000u | at << 11 | (reg & 0xfc));
    if (how & 0x80)
        bus_write(space, address, size, input_take(in, size));
    else
        bus_read(space, address, size, &value);
}

/* ---- Guest memory ---- */

static void write_ram(struct Bed *b, struct Input *in)
{
    gpa_t gpa = input_take(in, 3);
    uint64_t value = input_take(in, 8);
    (void)b;
    memory_write(gpa, &value, sizeof(value));
}

static void plan_write(struct Bed *b, struct Input *in)
{
    (void)b;
    memory_plan(in);
}

static void replace_page(struct Bed *b, struct Input *in)
{
    (void)b;
    memory_replace(input_take(in, 3));
}

/* ---- The outside ---- */

static void pass_time(struct Bed *b, struct Input *in)
{
    (void)b;
    outside.time = input_take(in, 4);
}

static void type(struct Bed *b, struct Input *in)
{
    outside.line += input_take(in, 1);
    uart_input(&b->uart);
    virtio_console_input(&b->console);
}

/* The kernel has collected output, as far as the UART lets it. */
static void collect(struct Bed *b, struct Input *in)
{
    struct GuestSerial *s = &b->serial;
    unsigned how = input_take(in, 1);
    for (unsigned n = how & 0x7f; n > 0; n--)
        if (s->port != GUEST_NO_SERIAL && s->head - s->tail < GUEST_SERIAL_RING)
            s->ring[s->head++ % GUEST_SERIAL_RING] = n;
    if (how & 0x80)
        uart_output(&b->uart);
}

static void drive_line(struct Bed *b, struct Input *in)
{
    unsigned how = input_take(in, 1);
    struct IrqLine line = ioapic_line(&b->ioapic, how % IOAPIC_INPUTS);
    irq_set(&line, how & 0x80);
}

static void press_power(struct Bed *b, struct Input *in)
{
    (void)in;
    pm_press_power(&b->pm);
}

static void receive_frame(struct Bed *b, struct Input *in)
{
    static const char frame[NET_FRAME_MAX];
    size_t more = input_take(in, 2) % (NET_FRAME_MAX - NET_FRAME_MIN + 1);
    virtio_net_receive(&b->net, frame, NET_FRAME_MIN + more);
    virtio_net_flush(&b->net);
}

static void disk_mood(struct Bed *b, struct Input *in)
{
    (void)b;
    outside.disk = input_take(in, 8);
}

static void disk_answer(struct Bed *b, struct Input *in)
{
    unsigned how = input_take(in, 1);
    bed_disk_answer(how & 0xf, how & 0x80);
    if (how & 0x40)
        blk_run(&b->blk);
}

/* ---- States ---- */

static size_t save(struct Bed *b, unsigned part, uint8_t *state)
{
    int64_t n = device_save(bed_device(b, part), state, STATE_MAX);
    HOLDS(n > 0, "saving part %u: %ld", part, n);
    return n;
}

static bool same_ranges(const struct BusSpace *a, const struct BusSpace *b)
{
    if (a->nranges != b->nranges)
        return false;
    for (unsigned i = 0; i < a->nranges; i++)
        if (a->ranges[i].first != b->ranges[i].first || a->ranges[i].count != b->ranges[i].count ||
            a->ranges[i].offset != b->ranges[i].offset)
            return false;
    return true;
}

/* All of the machine into a new one. */
static struct Bed *copy_of(struct Bed *old)
{
    static uint8_t state[STATE_MAX], again[STATE_MAX];
    struct Bed *b = bed_make(old->driven);
    for (unsigned i = 0; i < BED_PARTS; i++) {
        size_t n = save(old, i, state);
        HOLDS(device_load(bed_device(b, i), state, n - 1) == -E_INVAL, "a short state of %u", i);
        HOLDS(device_load(bed_device(b, i), state, n) == (int64_t)n, "loading part %u", i);
        HOLDS(save(b, i, again) == n && memcmp(state, again, n) == 0, "part %u differs", i);
    }
    HOLDS(same_ranges(&old->bus.ports, &b->bus.ports), "other ports");
    HOLDS(same_ranges(&old->bus.memory, &b->bus.memory), "other memory");
    return b;
}

/* A device takes a state that has been tampered with as it is, or says no and keeps its own. */
static void load_any(struct Bed *b, struct Input *in)
{
    static uint8_t before[STATE_MAX], state[STATE_MAX], after[STATE_MAX];
    unsigned part = bed_choose(b, 0, BED_PARTS, input_take(in, 1));
    unsigned changes = input_take(in, 1) & 0x3f;
    size_t n = save(b, part, before);
    memcpy(state, before, n);
    for (unsigned i = 0; i < changes && in->size > 0; i++) {
        size_t at = input_take(in, 2) % n;
        state[at] = input_take(in, 1);
    }
    int64_t r = device_load(bed_device(b, part), state, n);
    HOLDS(r == (int64_t)n || r == -E_INVAL, "part %u: %ld", part, r);
    save(b, part, after);
    HOLDS(memcmp(after, r < 0 ? before : state, n) == 0, "part %u has neither state", part);
}

/* ---- All together ---- */

/* What a step is, by a byte of the input modulo their number: a longer list would give old inputs
 * another meaning, so that all_ops stays as it is, and what is new is for its model only. */
typedef void (*Op)(struct Bed *b, struct Input *in);
#define MOVE NULL /* to another machine */

static const Op all_ops[] = {
    read_port,      write_port,      read_register,
    write_register, write_ram,       plan_write,
    replace_page,   pass_time,       type,
    receive_frame,  load_any,        MOVE,
    driver_start,   driver_describe, driver_offer,
    driver_notify,  driver_request,  driver_configure,
    disk_mood,      disk_answer,     driver_disk_request,
    press_power,
};
static const Op ioapic_ops[] = { read_register, write_register, drive_line, load_any, MOVE };
static const Op uart_ops[] = { read_port, write_port, type, collect, load_any, MOVE };
static const Op rtc_ops[] = { read_port, write_port, pass_time, load_any, MOVE };
static const Op pm_ops[] = { read_port, write_port, pass_time, press_power, load_any, MOVE };
static const Op power_ops[] = { read_port, write_port, load_any, MOVE };
static const Op pci_ops[] = { read_port,     write_port, read_register, write_register,
                              access_config, load_any,   MOVE };
#define VIRTIO_OPS                                                                             \
    read_port, write_port, read_register, write_register, write_ram, plan_write, replace_page, \
        load_any, MOVE, driver_start, driver_describe, driver_offer, driver_notify,            \
        driver_request, driver_configure
static const Op rng_ops[] = { VIRTIO_OPS };
static const Op console_ops[] = { VIRTIO_OPS, type };
static const Op net_ops[] = { VIRTIO_OPS, receive_frame };
static const Op blk_ops[] = { VIRTIO_OPS, disk_mood, disk_answer, driver_disk_request };

#define PART(name)      (1u << PART_##name)
#define MODEL(ops, ...) ops, ARRAY_SIZE(ops), __VA_ARGS__
static const struct Model {
    const char *name;
    const Op *ops;
    unsigned nops;
    uint32_t driven;
} models[] = {
    { "devices", MODEL(all_ops, BED_ALL) },
    { "ioapic", MODEL(ioapic_ops, PART(IOAPIC)) },
    { "uart", MODEL(uart_ops, PART(UART)) },
    { "rtc", MODEL(rtc_ops, PART(RTC)) },
    { "pm", MODEL(pm_ops, PART(PM)) },
    { "power", MODEL(power_ops, PART(POWER) | PART(DEBUG_EXIT)) },
    { "pci", MODEL(pci_ops, PART(PCI) | PART(RNG) | PART(NET)) }, /* two cards, whose BARs move */
    { "virtio-rng", MODEL(rng_ops, PART(RNG)) },
    { "virtio-console", MODEL(console_ops, PART(CONSOLE)) },
    { "virtio-net", MODEL(net_ops, PART(NET)) },
    { "virtio-blk", MODEL(blk_ops, PART(BLK)) },
};
static const struct Model *model = &models[0];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    const char *program = **argv, *slash = strrchr(program, '/');
    const char *dash = strchr(slash ? slash : program, '-');
    (void)argc;
    unsigned i = 0;
    while (i < ARRAY_SIZE(models) && (!dash || strcmp(models[i].name, dash + 1) != 0))
        i++;
    HOLDS(i < ARRAY_SIZE(models), "no device model has %s's name", program);
    model = &models[i];
    return 0;
}

static unsigned moves_left; /* they take long */

static struct Bed *step(struct Bed *b, struct Input *in)
{
    Op op = model->ops[input_take(in, 1) % model->nops];
    if (op) {
        op(b, in);
    } else if (blk_is_idle(&b->blk) && moves_left > 0) {
        moves_left--;
        struct Bed *other = copy_of(b);
        free(b);
        b = other;
    }
    bed_check(b);
    return b;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct Input in = { data, size };
    bed_reset_outside();
    moves_left = MOST_MOVES;
    struct Bed *b = bed_make(model->driven);
    for (unsigned i = 0; i < MOST_OPS && in.size > 0; i++)
        b = step(b, &in);
    memory_check();
    memory_reset();
    free(b);
    return 0;
}
