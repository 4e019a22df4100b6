/*
 * MSI: the capability's registers, and the message. How many messages the driver allots is
 * read-only, since there is one only.
 */
#include <user/vmm/dev/pci/msi.h>

#define CAP_ID         0x05
#define CAP_CONTROL    2 /* in the capability: 2 bytes */
#define CAP_ADDRESS    4 /* low half, high half */
#define CAP_DATA       12
#define CAP_SIZE       14
#define CONTROL_ENABLE 0x0001u
#define CONTROL_64     0x0080u

unsigned msi_init(struct PciFunction *f)
{
    unsigned cap = pci_capability(f, CAP_ID, CAP_SIZE);
    pci_set(f, cap + CAP_CONTROL, 2, CONTROL_64);
    pci_make_writable(f, cap + CAP_CONTROL, 2, CONTROL_ENABLE);
    pci_make_writable(f, cap + CAP_ADDRESS, 4, ~3u);
    pci_make_writable(f, cap + CAP_ADDRESS + 4, 4, ~0u);
    pci_make_writable(f, cap + CAP_DATA, 2, 0xffff);
    return cap;
}

/* As with MSI-X, a message that goes elsewhere than to a local APIC is lost. */
void msi_raise(const struct PciFunction *f, unsigned cap)
{
    const struct PciPeer *peer = f->host->peer;
    uint64_t low = pci_get(f, cap + CAP_ADDRESS, 4), high = pci_get(f, cap + CAP_ADDRESS + 4, 4);
    if ((pci_get(f, cap + CAP_CONTROL, 2) & CONTROL_ENABLE) && pci_is_master(f))
        peer->msi(peer->to, low | high << 32, pci_get(f, cap + CAP_DATA, 2));
}
