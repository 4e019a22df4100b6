/*
 * MSI: one message in a function's configuration space, which it may send as an interrupt (PCI
 * Local Bus Specification, "MSI Capability Structure"). The address has 64 bits; there is no mask.
 * All state is configuration space, so that a save of that keeps it.
 */
#ifndef JOS_USER_VMM_DEV_PCI_MSI_H
#define JOS_USER_VMM_DEV_PCI_MSI_H

#include <user/vmm/dev/pci/pci.h>

/* The capability, in a function that is being built. Returns its register, for msi_raise. */
unsigned msi_init(struct PciFunction *f);
/* The function's event: send the message. Nothing happens while MSI is disabled, or while the
 * function is no bus master. */
void msi_raise(const struct PciFunction *f, unsigned cap);

#endif
