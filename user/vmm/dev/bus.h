/*
 * The bus between a guest and its devices: who answers at which I/O port and at which
 * guest-physical address. A device is an instance: a struct of its own that begins with struct
 * Device, with all its state; nothing of it is static.
 */
#ifndef JOS_USER_VMM_DEV_BUS_H
#define JOS_USER_VMM_DEV_BUS_H

#include <inc/types.h>

struct Device;

/* An interrupt line: what a device drives it with goes to `set`. Without one it is not connected.
 */
struct IrqLine {
    void (*set)(void *to, bool level);
    void *to;
};

static inline void irq_set(const struct IrqLine *line, bool level)
{
    if (line->set)
        line->set(line->to, level);
}

/*
 * What is the same for all devices of a kind. Registers are numbered by their offset: `offset` of
 * bus_add for the first one of a range.
 */
struct DeviceKind {
    const char *name; /* at most DEVICE_NAME_MAX bytes; in saved states, too */
    /* Registers are bytes: a wider access comes as several, of neighbours in the same range. */
    bool bytes;
    /* It gets accesses of any size that begin at one of its registers, also where they go beyond
     * the range; it knows what becomes of them. */
    bool whole;
    uint64_t (*read)(struct Device *d, uint64_t offset, unsigned size);
    void (*write)(struct Device *d, uint64_t offset, unsigned size, uint64_t value);
    /* The state as `size` bytes, which mean the same as long as the version does. load believes
     * nothing: -E_INVAL, and nothing has changed, if this is no state that a device can have. All
     * NULL and 0: there is no state. */
    void (*save)(const struct Device *d, void *state);
    int (*load)(struct Device *d, const void *state);
    uint32_t version;
    uint32_t size;
};

struct Device {
    const struct DeviceKind *kind;
};

#define DEVICE_NAME_MAX 8
#define BUS_RANGES      64

struct BusRange {
    uint64_t first, count, offset;
    struct Device *device;
};

/* One kind of addresses: ports, or guest-physical addresses. */
struct BusSpace {
    struct BusRange ranges[BUS_RANGES]; /* ascending, apart from each other */
    unsigned nranges;
    struct BusRange last; /* that was accessed, or a gap (no device): guests poll */
};

struct Bus {
    struct BusSpace ports, memory;
};

/* From now on d answers at [first, first + count), where its register `offset` is the first.
 * -E_BUSY: a device does that already; -E_INVAL: it is empty, or wraps around; -E_NO_MEM:
 * BUS_RANGES are taken. */
int bus_add(struct BusSpace *space, uint64_t first, uint64_t count, struct Device *d,
            uint64_t offset);
/* The range that begins at `first` is nobody's again. -E_NOT_FOUND: none of d's does. */
int bus_remove(struct BusSpace *space, uint64_t first, const struct Device *d);
/* Is it in the range, or the gap, that was accessed last? */
static inline bool bus_is_last(const struct BusSpace *space, uint64_t address)
{
    return address - space->last.first < space->last.count;
}
/* Look up who has the address, into space->last. */
void bus_find(struct BusSpace *space, uint64_t address);
/* The access, by its offset in the range of a device. */
uint64_t bus_read_device(const struct BusRange *r, uint64_t at, unsigned size);
void bus_write_device(const struct BusRange *r, uint64_t at, unsigned size, uint64_t value);
/*
 * An access of 1, 2, 4 or 8 bytes. It goes, whole, to the device that has its first address, as on
 * a PC's bus: a 32-bit write to port 0xcf8 never touches 0xcf9. Bytes that the device does not have
 * read as ones, and writes to them are lost. false: no device has claimed the access, so that it
 * has read ones or is lost.
 */
static inline bool bus_is_gap(struct BusSpace *space, uint64_t address)
{
    if (!bus_is_last(space, address))
        bus_find(space, address);
    return !space->last.device;
}

static inline bool bus_read(struct BusSpace *space, uint64_t address, unsigned size,
                            uint64_t *value)
{
    *value = ~0ul;
    if (bus_is_gap(space, address))
        return false;
    *value = bus_read_device(&space->last, address - space->last.first, size);
    return true;
}

static inline bool bus_write(struct BusSpace *space, uint64_t address, unsigned size,
                             uint64_t value)
{
    if (bus_is_gap(space, address))
        return false;
    bus_write_device(&space->last, address - space->last.first, size, value);
    return true;
}

/* A device's state with its kind and version, in buf. Returns the bytes written; -E_NO_MEM: they
 * are more than `size`. */
int64_t device_save(const struct Device *d, void *buf, size_t size);
/* Bring it into a device of that kind. Returns the bytes read; -E_INVAL: this is no state of this
 * kind and version, and nothing has changed. */
int64_t device_load(struct Device *d, const void *buf, size_t size);

#endif
