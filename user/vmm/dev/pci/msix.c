/*
 * MSI-X: the table, the masks, and messages that wait behind them.
 */
#include <inc/error.h>
#include <inc/string.h>
#include <user/vmm/dev/pci/msix.h>

#define CAP_ID          0x11
#define CAP_CONTROL     2 /* in the capability: 2 bytes */
#define CAP_TABLE       4
#define CAP_PENDING     8
#define CONTROL_ENABLE  0x8000u
#define CONTROL_MASKED  0x4000u /* all vectors */
#define ENTRY_MASKED    1u
#define PENDING_OFFSET  0x800u
#define ADDRESS_ALIGNED (~3u)

void msix_init(struct Msix *m, struct PciFunction *f, unsigned nvectors, unsigned n,
               uint32_t offset)
{
    *m = (struct Msix){ .function = f, .nvectors = nvectors };
    m->cap = pci_capability(f, CAP_ID, MSIX_CAP);
    pci_set(f, m->cap + CAP_CONTROL, 2, nvectors - 1);
    pci_set(f, m->cap + CAP_TABLE, 4, offset | n);
    pci_set(f, m->cap + CAP_PENDING, 4, (offset + PENDING_OFFSET) | n);
    f->writable[m->cap + CAP_CONTROL + 1] = (CONTROL_ENABLE | CONTROL_MASKED) >> 8;
    for (unsigned i = 0; i < nvectors; i++)
        m->s.table[i].control = ENTRY_MASKED;
}

static uint32_t control(const struct Msix *m)
{
    return pci_get(m->function, m->cap + CAP_CONTROL, 2);
}

bool msix_is_enabled(const struct Msix *m)
{
    return control(m) & CONTROL_ENABLE;
}

static bool is_open(const struct Msix *m, unsigned vector)
{
    return !(control(m) & CONTROL_MASKED) && !(m->s.table[vector].control & ENTRY_MASKED);
}

/* A message that goes elsewhere than to a local APIC is lost: the function writes to no memory with
 * it. */
static void send(struct Msix *m, unsigned vector)
{
    const struct MsixEntry *e = &m->s.table[vector];
    const struct PciPeer *peer = m->function->host->peer;
    m->s.pending &= ~(1ul << vector);
    peer->msi(peer->to, e->address[0] | (uint64_t)e->address[1] << 32, e->data);
}

void msix_raise(struct Msix *m, unsigned vector)
{
    if (!msix_is_enabled(m) || !pci_is_master(m->function))
        return;
    m->s.pending |= 1ul << vector;
    if (is_open(m, vector))
        send(m, vector);
}

/* Masks have changed: send what is pending and masked no more. */
static void send_pending(struct Msix *m)
{
    if (m->s.pending == 0 || !msix_is_enabled(m) || !pci_is_master(m->function))
        return;
    for (unsigned i = 0; i < m->nvectors; i++)
        if ((m->s.pending >> i & 1) && is_open(m, i))
            send(m, i);
}

void msix_config_written(struct Msix *m, unsigned first, unsigned size)
{
    unsigned reg = m->cap + CAP_CONTROL;
    if (first < reg + 2 && reg < first + size && !msix_is_enabled(m))
        m->s.pending = 0;
    send_pending(m);
}

static bool in_table(const struct Msix *m, uint64_t offset, unsigned size)
{
    uint64_t bytes = m->nvectors * sizeof(struct MsixEntry);
    return offset < bytes && size <= bytes - offset;
}

/* Aligned accesses of 4 or 8 bytes, as the specification wants it; others read 0. */
static bool access_ok(uint64_t offset, unsigned size)
{
    return (size == 4 || size == 8) && offset % size == 0;
}

uint64_t msix_read(const struct Msix *m, uint64_t offset, unsigned size)
{
    uint64_t value = 0;
    if (!access_ok(offset, size))
        return 0;
    if (in_table(m, offset, size))
        memcpy(&value, (const char *)m->s.table + offset, size);
    else if (offset >= PENDING_OFFSET && offset + size <= PENDING_OFFSET + sizeof(m->s.pending))
        memcpy(&value, (const char *)&m->s.pending + (offset - PENDING_OFFSET), size);
    return value;
}

void msix_write(struct Msix *m, uint64_t offset, unsigned size, uint64_t value)
{
    if (!access_ok(offset, size) || !in_table(m, offset, size))
        return;
    memcpy((char *)m->s.table + offset, &value, size);
    struct MsixEntry *e = &m->s.table[offset / sizeof(*e)];
    e->address[0] &= ADDRESS_ALIGNED;
    e->control &= ENTRY_MASKED;
    send_pending(m);
}

int msix_load(struct Msix *m, const struct MsixState *s)
{
    if (m->nvectors < MSIX_VECTORS && s->pending >> m->nvectors)
        return -E_INVAL;
    for (unsigned i = 0; i < MSIX_VECTORS; i++) {
        const struct MsixEntry *e = &s->table[i];
        if ((e->address[0] & ~ADDRESS_ALIGNED) || (e->control & ~ENTRY_MASKED))
            return -E_INVAL;
        if (i >= m->nvectors && (e->address[0] | e->address[1] | e->data | e->control))
            return -E_INVAL;
    }
    m->s = *s;
    return 0;
}
