/*
 * An I/O APIC. All inputs are served as edge-triggered ones: what an entry says of the trigger mode
 * is kept, but a level that stays after the end of its interrupt does not interrupt again.
 */
#include <inc/error.h>
#include <inc/string.h>
#include <user/vmm/dev/ioapic.h>

/* Offsets in its memory, and the registers behind INDEX and DATA */
#define INDEX 0x00
#define DATA  0x10

#define REG_ID          0x00
#define REG_VERSION     0x01
#define REG_ARBITRATION 0x02
#define REG_TABLE       0x10

#define VERSION_VALUE (0x11u | (IOAPIC_INPUTS - 1) << 16)
#define ID_MASK       0x0f000000u

/* "I/O Redirection Table Registers" */
#define ENTRY_VECTOR   0xfful
#define ENTRY_MODE     0x700ul
#define ENTRY_LOGICAL  (1ul << 11)
#define ENTRY_MASKED   (1ul << 16)
#define ENTRY_WRITABLE 0xff0000000001afffull
#define ENTRY_DEST(e)  ((e) >> 56)

/* SDM "Message Signalled Interrupts" */
#define MESSAGE_ADDRESS   0xfee00000u
#define MESSAGE_DEST(d)   ((uint64_t)(d) << 12)
#define MESSAGE_LOGICAL   (1u << 2)
#define MESSAGE_DATA_BITS (ENTRY_VECTOR | ENTRY_MODE)

static void send(const struct Ioapic *a, uint64_t entry)
{
    uint64_t address = MESSAGE_ADDRESS | MESSAGE_DEST(ENTRY_DEST(entry)) |
                       (entry & ENTRY_LOGICAL ? MESSAGE_LOGICAL : 0);
    a->peer.send(a->peer.to, address, entry & MESSAGE_DATA_BITS);
}

/* An edge at a masked input is lost. */
static void set_input(void *to, bool level)
{
    const struct IoapicInput *in = to;
    struct IoapicState *s = &in->ioapic->state;
    uint32_t bit = 1u << in->n, before = s->levels;
    s->levels = level ? before | bit : before & ~bit;
    if (level && !(before & bit) && !(s->entries[in->n] & ENTRY_MASKED))
        send(in->ioapic, s->entries[in->n]);
}

struct IrqLine ioapic_line(struct Ioapic *a, unsigned n)
{
    return (struct IrqLine){ .set = set_input, .to = &a->inputs[n] };
}

/* Half of an entry: two registers have one. NULL: there is no such register. */
static uint64_t *entry_at(struct IoapicState *s, unsigned *shift)
{
    uint32_t n = s->index - REG_TABLE;
    *shift = n % 2 * 32;
    return s->index >= REG_TABLE && n / 2 < IOAPIC_INPUTS ? &s->entries[n / 2] : NULL;
}

static uint32_t read_data(struct IoapicState *s)
{
    unsigned shift;
    const uint64_t *entry = entry_at(s, &shift);
    if (entry)
        return *entry >> shift;
    switch (s->index) {
    case REG_ID:
    case REG_ARBITRATION:
        return s->id;
    case REG_VERSION:
        return VERSION_VALUE;
    }
    return 0;
}

static void write_data(struct IoapicState *s, uint32_t value)
{
    unsigned shift;
    uint64_t *entry = entry_at(s, &shift);
    if (entry)
        *entry = ((*entry & ~(0xfffffffful << shift)) | (uint64_t)value << shift) & ENTRY_WRITABLE;
    else if (s->index == REG_ID)
        s->id = value & ID_MASK;
}

/* Registers of 32 bits; others than these are not there. */
static uint64_t ioapic_read(struct Device *d, uint64_t offset, unsigned size)
{
    struct IoapicState *s = &((struct Ioapic *)d)->state;
    uint64_t v = 0;
    if (ROUNDDOWN(offset, 4) == INDEX)
        v = s->index;
    else if (ROUNDDOWN(offset, 4) == DATA)
        v = read_data(s);
    (void)size;
    return v >> 8 * (offset % 4);
}

static void ioapic_write(struct Device *d, uint64_t offset, unsigned size, uint64_t value)
{
    struct IoapicState *s = &((struct Ioapic *)d)->state;
    if (offset == INDEX)
        s->index = value & 0xff;
    else if (offset == DATA && size >= 4)
        write_data(s, value);
}

static void ioapic_save(const struct Device *d, void *state)
{
    memcpy(state, &((const struct Ioapic *)d)->state, sizeof(struct IoapicState));
}

static int ioapic_load(struct Device *d, const void *state)
{
    struct IoapicState s;
    memcpy(&s, state, sizeof(s));
    bool ok = s.index <= 0xff && !(s.id & ~ID_MASK) && s.levels >> IOAPIC_INPUTS == 0 && !s.pad;
    for (unsigned i = 0; i < IOAPIC_INPUTS; i++)
        ok = ok && !(s.entries[i] & ~ENTRY_WRITABLE);
    if (!ok)
        return -E_INVAL;
    ((struct Ioapic *)d)->state = s;
    return 0;
}

static const struct DeviceKind ioapic_kind = {
    .name = "ioapic",
    .read = ioapic_read,
    .write = ioapic_write,
    .save = ioapic_save,
    .load = ioapic_load,
    .version = 1,
    .size = sizeof(struct IoapicState),
};

int ioapic_add(struct Ioapic *a, struct BusSpace *memory, struct MessagePeer peer)
{
    *a = (struct Ioapic){ .device.kind = &ioapic_kind, .peer = peer };
    for (unsigned i = 0; i < IOAPIC_INPUTS; i++) {
        a->inputs[i] = (struct IoapicInput){ a, i };
        a->state.entries[i] = ENTRY_MASKED;
    }
    return bus_add(memory, IOAPIC_ADDRESS, IOAPIC_BYTES, &a->device, 0);
}
