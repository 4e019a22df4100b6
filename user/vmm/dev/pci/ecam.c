/*
 * Configuration space in memory: an address has the slot, the function and the register. It keeps
 * no state of its own.
 */
#include <user/vmm/dev/pci/ecam.h>

#define ECAM_SLOT(at)     ((at) >> 15 & 0x1f)
#define ECAM_FUNCTION(at) ((at) >> 12 & 7)
#define ECAM_REGISTER(at) ((at)&0xfff)

static struct PciFunction *function_at(const struct Device *d, uint64_t offset)
{
    const struct PciEcam *e = (const struct PciEcam *)d;
    return ECAM_FUNCTION(offset) == 0 ? e->host->slots[ECAM_SLOT(offset)] : NULL;
}

static uint64_t ecam_read(struct Device *d, uint64_t offset, unsigned size)
{
    struct PciFunction *f = function_at(d, offset);
    return f ? pci_read(f, ECAM_REGISTER(offset), size) : ~0ul;
}

static void ecam_write(struct Device *d, uint64_t offset, unsigned size, uint64_t value)
{
    struct PciFunction *f = function_at(d, offset);
    if (f)
        pci_write(f, ECAM_REGISTER(offset), size, value);
}

static const struct DeviceKind ecam_kind = {
    .name = "ecam",
    .read = ecam_read,
    .write = ecam_write,
};

int pci_ecam_add(struct PciEcam *e, struct PciHost *host)
{
    *e = (struct PciEcam){ .device.kind = &ecam_kind, .host = host };
    return bus_add(&host->bus->memory, ECAM_START, ECAM_SIZE, &e->device, 0);
}
