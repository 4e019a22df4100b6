/*
 * PCI by configuration mechanism #1: function 0 of the devices on bus 0. Nothing is done at boot; a
 * driver that wants a device looks for it.
 */
#ifndef JOS_KERN_DEV_PCI_H
#define JOS_KERN_DEV_PCI_H

#include <inc/pci.h>

/* Register `reg` of 1, 2 or 4 bytes, which does not cross 4 bytes. */
uint32_t pci_read(unsigned device, unsigned reg, unsigned size);
void pci_write(unsigned device, unsigned reg, unsigned size, uint32_t value);
/* The nth device with PCI_DEVICE_ID id, -1: there is none. */
int pci_find(uint32_t id, unsigned nth);
/* Take a device for an owner: an env, or the kernel. false: somebody else has it. */
#define PCI_NOBODY 0
#define PCI_KERNEL (-1)
bool pci_claim(unsigned device, int owner);
int pci_owner(unsigned device);
/* Stop all that this owner has, and let others have them. */
void pci_release(int owner);
/* Fill *d, for which the device does not answer for a moment; then let it answer, be a bus master,
 * and send messages instead of using an interrupt line. */
void pci_start(unsigned device, struct PciDevice *d);
/* It no longer answers, and touches no memory. */
void pci_stop(unsigned device);
/* A memory BAR of whole pages, at most PCI_MAP_MAX, for the kernel itself; at boot. NULL: it is
 * none. */
void *pci_boot_map(const struct PciBar *bar);
/* Can this BAR be mapped? */
bool pci_can_map(const struct PciBar *bar);

#endif
