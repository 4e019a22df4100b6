/*
 * A target: a machine with all device models, driven by accesses at any place and of any size, by a
 * driver, by what its peers do, and by time. Now and then its state is saved, and the machine goes
 * on as the one into which it was loaded; or a state comes that nobody has saved.
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
static uint64_t take_address(struct Input *in, const struct BusSpace *space)
{
    unsigned which = input_take(in, 1);
    if (which == 0xff || space->nranges == 0)
        return input_take(in, 8);
    const struct BusRange *r = &space->ranges[which % space->nranges];
    uint64_t offset = input_take(in, r->count > 0xff ? 2 : 1);
    return r->first + offset % (r->count + 4) - (which & 0x80 ? 4 : 0);
}

static void read_at(struct Input *in, struct BusSpace *space)
{
    uint64_t address = take_address(in, space), value = 0;
    bool claimed = bus_read(space, address, 1u << (input_take(in, 1) & 3), &value);
    HOLDS(claimed || value == ~0ul, "0x%lx at 0x%lx", value, address);
}

static void write_at(struct Input *in, struct BusSpace *space)
{
    uint64_t address = take_address(in, space);
    unsigned size = 1u << (input_take(in, 1) & 3);
    bus_write(space, address, size, input_take(in, size));
}

static void read_port(struct Bed *b, struct Input *in)
{
    read_at(in, &b->bus.ports);
}

static void write_port(struct Bed *b, struct Input *in)
{
    write_at(in, &b->bus.ports);
}

static void read_register(struct Bed *b, struct Input *in)
{
    read_at(in, &b->bus.memory);
}

static void write_register(struct Bed *b, struct Input *in)
{
    write_at(in, &b->bus.memory);
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
    virtio_console_input(&b->console);
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
    struct Bed *b = bed_make();
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
    unsigned part = input_take(in, 1) % BED_PARTS, changes = input_take(in, 1) & 0x3f;
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

/* By the input's byte. New ones come at the end, so that old inputs keep their meaning. */
static void (*const ops[])(struct Bed *b, struct Input *in) = {
    read_port,      write_port,      read_register,
    write_register, write_ram,       plan_write,
    replace_page,   pass_time,       type,
    receive_frame,  load_any,        NULL, /* a move to another machine */
    driver_start,   driver_describe, driver_offer,
    driver_notify,  driver_request,  driver_configure,
    disk_mood,      disk_answer,     driver_disk_request,
};

static unsigned moves_left; /* they take long */

static struct Bed *step(struct Bed *b, struct Input *in)
{
    unsigned op = input_take(in, 1) % ARRAY_SIZE(ops);
    if (ops[op]) {
        ops[op](b, in);
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
    struct Bed *b = bed_make();
    for (unsigned i = 0; i < MOST_OPS && in.size > 0; i++)
        b = step(b, &in);
    memory_check();
    memory_reset();
    free(b);
    return 0;
}
