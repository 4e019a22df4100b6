/*
 * The bus: ranges of addresses, and who answers there. The devices of a PC have byte-wide
 * registers, are accessed by bytes mostly, and are polled without end: the range that was accessed
 * last is looked at first.
 */
#include <inc/error.h>
#include <inc/string.h>
#include <user/vmm/dev/bus.h>

static bool has(const struct BusRange *r, uint64_t address)
{
    return address - r->first < r->count;
}

/* Make [first, end), the gap that has address, smaller by the range r, which has not. */
static void narrow(const struct BusRange *r, uint64_t address, uint64_t *first, uint64_t *end)
{
    if (r->first > address)
        *end = MIN(*end, r->first);
    else
        *first = MAX(*first, r->first + r->count);
}

static void __attribute__((noinline)) look_up(struct BusSpace *space, uint64_t address)
{
    uint64_t first = 0, end = UINT64_MAX;
    for (unsigned i = 0; i < space->nranges; i++) {
        if (has(&space->ranges[i], address)) {
            space->last = space->ranges[i];
            return;
        }
        narrow(&space->ranges[i], address, &first, &end);
    }
    space->last = (struct BusRange){ .first = first, .count = end - first };
}

static inline const struct BusRange *find(struct BusSpace *space, uint64_t address)
{
    if (__builtin_expect(!has(&space->last, address), 0))
        look_up(space, address);
    return &space->last;
}

static bool overlap(const struct BusRange *r, uint64_t first, uint64_t count)
{
    return has(r, first) || r->first - first < count;
}

int bus_add(struct BusSpace *space, uint64_t first, uint64_t count, struct Device *d,
            uint64_t offset)
{
    if (space->nranges == BUS_RANGES)
        return -E_NO_MEM;
    for (unsigned i = 0; i < space->nranges; i++)
        if (overlap(&space->ranges[i], first, count))
            return -E_BUSY;
    space->ranges[space->nranges++] = (struct BusRange){ first, count, offset, d };
    space->last = (struct BusRange){ .count = 0 };
    return 0;
}

/* Registers that are bytes, as many as there are among `size` of them; ones beyond the range. */
static uint64_t __attribute__((noinline))
read_bytes(const struct BusRange *r, uint64_t at, unsigned size)
{
    uint64_t value = ~0ul;
    for (unsigned i = 0; i < size && at + i < r->count; i++) {
        value &= ~(0xfful << 8 * i);
        value |= r->device->kind->read(r->device, r->offset + at + i, 1) << 8 * i;
    }
    return value;
}

static void __attribute__((noinline))
write_bytes(const struct BusRange *r, uint64_t at, unsigned size, uint64_t value)
{
    for (unsigned i = 0; i < size && at + i < r->count; i++)
        r->device->kind->write(r->device, r->offset + at + i, 1, value >> 8 * i & 0xff);
}

/* The bytes from address on that a range has. */
static bool fits(const struct BusRange *r, uint64_t at, unsigned size)
{
    return size == 1 || size <= r->count - at;
}

bool bus_read(struct BusSpace *space, uint64_t address, unsigned size, uint64_t *value)
{
    const struct BusRange *r = find(space, address);
    *value = ~0ul;
    if (!r->device)
        return false;
    uint64_t at = address - r->first;
    if (size > 1 && r->device->kind->bytes)
        *value = read_bytes(r, at, size);
    else if (fits(r, at, size))
        *value = r->device->kind->read(r->device, r->offset + at, size);
    return true;
}

bool bus_write(struct BusSpace *space, uint64_t address, unsigned size, uint64_t value)
{
    const struct BusRange *r = find(space, address);
    if (!r->device)
        return false;
    uint64_t at = address - r->first;
    if (size > 1 && r->device->kind->bytes)
        write_bytes(r, at, size, value);
    else if (fits(r, at, size))
        r->device->kind->write(r->device, r->offset + at, size, value);
    return true;
}

/* ---- States ---- */

struct SavedHeader {
    char kind[DEVICE_NAME_MAX]; /* not terminated if it fills this */
    uint32_t version, size;     /* of the state that follows */
};

static struct SavedHeader header_of(const struct DeviceKind *kind)
{
    struct SavedHeader h = { .version = kind->version, .size = kind->size };
    memcpy(h.kind, kind->name, MIN(strlen(kind->name), sizeof(h.kind)));
    return h;
}

int64_t device_save(const struct Device *d, void *buf, size_t size)
{
    struct SavedHeader h = header_of(d->kind);
    if (size < sizeof(h) + h.size)
        return -E_NO_MEM;
    memcpy(buf, &h, sizeof(h));
    if (d->kind->save)
        d->kind->save(d, (char *)buf + sizeof(h));
    return sizeof(h) + h.size;
}

int64_t device_load(struct Device *d, const void *buf, size_t size)
{
    struct SavedHeader h = header_of(d->kind);
    if (size < sizeof(h) + h.size || memcmp(buf, &h, sizeof(h)) != 0)
        return -E_INVAL;
    int r = d->kind->load ? d->kind->load(d, (const char *)buf + sizeof(h)) : 0;
    return r < 0 ? r : (int64_t)(sizeof(h) + h.size);
}
