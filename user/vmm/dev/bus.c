/*
 * The bus: ranges of addresses, and who answers there. The devices of a PC have byte-wide
 * registers, are accessed by bytes mostly, and are polled without end: the range that was accessed
 * last, or the gap between two ranges, is looked at first.
 */
#include <inc/error.h>
#include <inc/string.h>
#include <user/vmm/dev/bus.h>

/* The number of ranges that begin at or before the address. */
static unsigned ranges_up_to(const struct BusSpace *space, uint64_t address)
{
    unsigned low = 0, high = space->nranges;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (space->ranges[middle].first <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The gap before range n. */
static struct BusRange gap_before(const struct BusSpace *space, unsigned n)
{
    const struct BusRange *r = space->ranges;
    uint64_t first = n > 0 ? r[n - 1].first + r[n - 1].count : 0;
    uint64_t end = n < space->nranges ? r[n].first : ~0ul;
    return (struct BusRange){ .first = first, .count = end - first };
}

void bus_find(struct BusSpace *space, uint64_t address)
{
    unsigned n = ranges_up_to(space, address);
    const struct BusRange *r = space->ranges + n;
    space->last = n > 0 && address - r[-1].first < r[-1].count ? r[-1] : gap_before(space, n);
}

int bus_add(struct BusSpace *space, uint64_t first, uint64_t count, struct Device *d,
            uint64_t offset)
{
    unsigned n = ranges_up_to(space, first);
    struct BusRange gap = gap_before(space, n), *r = &space->ranges[n];
    if (count == 0 || first + count < first)
        return -E_INVAL;
    if (space->nranges == BUS_RANGES)
        return -E_NO_MEM;
    if (first < gap.first || first + count > gap.first + gap.count)
        return -E_BUSY;
    memmove(r + 1, r, (space->nranges++ - n) * sizeof(*r));
    *r = (struct BusRange){ first, count, offset, d };
    space->last.count = 0; /* it may be a gap no more */
    return 0;
}

int bus_remove(struct BusSpace *space, uint64_t first, const struct Device *d)
{
    unsigned n = ranges_up_to(space, first);
    struct BusRange *next = space->ranges + n;
    if (n == 0 || next[-1].first != first || next[-1].device != d)
        return -E_NOT_FOUND;
    memmove(next - 1, next, (space->nranges-- - n) * sizeof(*next));
    space->last.count = 0;
    return 0;
}

/* Registers that are bytes, as many as there are among `size` of them; ones beyond the range. */
static uint64_t read_bytes(const struct BusRange *r, uint64_t at, unsigned size)
{
    uint64_t value = ~0ul;
    for (unsigned i = 0; i < size && at + i < r->count; i++) {
        value &= ~(0xfful << 8 * i);
        value |= r->device->kind->read(r->device, r->offset + at + i, 1) << 8 * i;
    }
    return value;
}

static void write_bytes(const struct BusRange *r, uint64_t at, unsigned size, uint64_t value)
{
    for (unsigned i = 0; i < size && at + i < r->count; i++)
        r->device->kind->write(r->device, r->offset + at + i, 1, value >> 8 * i & 0xff);
}

uint64_t bus_read_device(const struct BusRange *r, uint64_t at, unsigned size)
{
    if (size > 1 && r->device->kind->bytes)
        return read_bytes(r, at, size);
    return size <= r->count - at || r->device->kind->whole
               ? r->device->kind->read(r->device, r->offset + at, size)
               : ~0ul;
}

void bus_write_device(const struct BusRange *r, uint64_t at, unsigned size, uint64_t value)
{
    if (size > 1 && r->device->kind->bytes)
        write_bytes(r, at, size, value);
    else if (size <= r->count - at || r->device->kind->whole)
        r->device->kind->write(r->device, r->offset + at, size, value);
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
