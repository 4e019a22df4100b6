/*
 * Configuration space in memory (PCI Firmware Specification, "Enhanced Configuration Access
 * Mechanism"), of the one bus. The MCFG table of ACPI tells kernels of it; Linux warns where it is
 * missing. The functions here are conventional ones: what lies after their 256 bytes reads ones.
 */
#ifndef JOS_USER_VMM_DEV_PCI_ECAM_H
#define JOS_USER_VMM_DEV_PCI_ECAM_H

#include <user/vmm/dev/pci/pci.h>

#define ECAM_START 0xfed00000ul /* beyond the window for BARs, in what the memory map reserves */
#define ECAM_SIZE  0x100000ul

struct PciEcam {
    struct Device device;
    struct PciHost *host;
};

/* 0 or -E_*. */
int pci_ecam_add(struct PciEcam *e, struct PciHost *host);

#endif
